//! Draws the pictures of scenes: textures, people, balls, streaks.

use crate::random::Random;

/// Width of a picture in pixels.
pub const WIDTH: usize = 640;
/// Height of a picture in pixels.
pub const HEIGHT: usize = 360;

/// Smooth random values on a plane, which repeat after `SIZE` cells.
#[derive(Debug)]
pub struct Texture(Vec<f32>);

const SIZE: usize = 64;

impl Texture {
    /// Creates a texture with values from -1 to 1.
    pub fn new(random: &mut Random) -> Self {
        Self((0..SIZE * SIZE).map(|_| random.between(-1.0, 1.0)).collect())
    }

    /// Returns the value at a place, in cells.
    pub fn at(&self, x: f32, y: f32) -> f32 {
        let (left, top) = (x.floor(), y.floor());
        let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
        let (u, v) = (smooth(x - left), smooth(y - top));
        let (left, top) = (left as i64, top as i64);
        let value = |x: i64, y: i64| {
            let (x, y) = (x.rem_euclid(SIZE as i64), y.rem_euclid(SIZE as i64));
            self.0[y as usize * SIZE + x as usize]
        };
        let above = value(left, top) * (1.0 - u) + value(left + 1, top) * u;
        let below = value(left, top + 1) * (1.0 - u) + value(left + 1, top + 1) * u;
        above * (1.0 - v) + below * v
    }

    /// Returns the sum of four octaves at a place. `scale` is the size of the largest cells in pixels.
    pub fn cloud(&self, x: f32, y: f32, scale: f32) -> f32 {
        (0..4)
            .map(|i| (i as f32).exp2())
            .map(|f| self.at(x * f / scale + 7.3 * f, y * f / scale) / f)
            .sum()
    }
}

/// Returns a picture of a yard: sky, ground, walls, a fence.
pub fn backdrop(random: &mut Random) -> Vec<f32> {
    let texture = Texture::new(random);
    let horizon = random.between(60.0, 140.0);
    let sky = random.between(150.0, 200.0);
    let ground = random.between(70.0, 130.0);
    let mut picture: Vec<f32> = (0..WIDTH * HEIGHT)
        .map(|i| ((i % WIDTH) as f32, (i / WIDTH) as f32))
        .map(|(x, y)| {
            if y < horizon {
                sky - y * 0.1 + 6.0 * texture.cloud(x, y, 150.0)
            } else {
                ground + 14.0 * texture.cloud(x, y, 60.0) + 10.0 * texture.at(x / 2.0, y / 2.0)
            }
        })
        .collect();
    for _ in 0..6 + random.below(6) {
        let (w, h) = (random.between(40.0, 160.0), random.between(30.0, 110.0));
        let left = random.between(-20.0, WIDTH as f32 - 40.0);
        let top = random.between(horizon - h, horizon + 60.0);
        let tone = random.between(60.0, 190.0);
        let stripes = random.between(6.0, 30.0);
        for y in top.max(0.0) as usize..((top + h).max(0.0) as usize).min(HEIGHT) {
            for x in left.max(0.0) as usize..((left + w) as usize).min(WIDTH) {
                let stripe =
                    if ((x as f32 / stripes) as usize).is_multiple_of(2) { 8.0 } else { -8.0 };
                picture[y * WIDTH + x] =
                    tone + stripe + 6.0 * texture.at(x as f32 / 3.0, y as f32 / 3.0);
            }
        }
    }
    picture
}

/// Blends a tone into the pixels of a rectangle. `cover` returns, for a place, how much of the pixel is covered, and the
/// tone.
pub fn blend(
    picture: &mut [f32],
    (left, top, right, bottom): (f32, f32, f32, f32),
    cover: impl Fn(f32, f32) -> (f32, f32),
) {
    let range = |low: f32, high: f32, size: usize| {
        (low.floor().max(0.0) as usize).min(size)..(high.ceil().max(0.0) as usize).min(size)
    };
    for y in range(top, bottom, HEIGHT) {
        for x in range(left, right, WIDTH) {
            let (alpha, tone) = cover(x as f32 + 0.5, y as f32 + 0.5);
            let pixel = &mut picture[y * WIDTH + x];
            *pixel += (tone - *pixel) * alpha.clamp(0.0, 1.0);
        }
    }
}

/// Draws a line with round ends and soft edges.
pub fn streak(picture: &mut [f32], from: (f32, f32), to: (f32, f32), radius: f32, add: f32) {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = (dx * dx + dy * dy).max(1e-6);
    let margin = radius + 1.0;
    let (left, right) = (from.0.min(to.0) - margin, from.0.max(to.0) + margin);
    let (top, bottom) = (from.1.min(to.1) - margin, from.1.max(to.1) + margin);
    let range = |low: f32, high: f32, size: usize| {
        (low.floor().max(0.0) as usize).min(size)..(high.ceil().max(0.0) as usize).min(size)
    };
    for y in range(top, bottom, HEIGHT) {
        for x in range(left, right, WIDTH) {
            let (px, py) = (x as f32 + 0.5 - from.0, y as f32 + 0.5 - from.1);
            let t = ((px * dx + py * dy) / length).clamp(0.0, 1.0);
            let distance = ((px - t * dx).powi(2) + (py - t * dy).powi(2)).sqrt();
            picture[y * WIDTH + x] += add * (radius + 0.5 - distance).clamp(0.0, 1.0);
        }
    }
}

/// A person who is walking.
#[derive(Debug, Clone)]
pub struct Walker {
    /// Time at which the person appears at the edge, in seconds.
    pub start: f32,
    /// Height in pixels.
    pub height: f32,
    /// Place of the feet, in pixels from the top.
    pub feet: f32,
    /// Speed in pixels per second; negative to the left.
    pub speed: f32,
    /// Tone of the clothes.
    pub tone: f32,
    /// Time at which the person turns around, in seconds after the start.
    pub turns: Option<f32>,
}

/// Left, top, right, bottom in pixels.
pub type Area = (f32, f32, f32, f32);

impl Walker {
    /// Width of the person in pixels.
    pub fn width(&self) -> f32 {
        self.height * 0.36
    }

    /// The time at which the person is gone, in seconds.
    pub fn end(&self) -> f32 {
        let crossing = (WIDTH as f32 + self.width()) / self.speed.abs();
        self.start + self.turns.map_or(crossing, |turns| 2.0 * turns)
    }

    /// Returns the place of the person, or `None` if the person is outside.
    pub fn area(&self, t: f32) -> Option<Area> {
        if t < self.start || t > self.end() {
            return None;
        }
        let mut walked = (t - self.start) * self.speed.abs();
        if let Some(turns) = self.turns {
            walked = walked.min(2.0 * turns * self.speed.abs() - walked);
        }
        let width = self.width();
        let left = if self.speed > 0.0 { walked - width } else { WIDTH as f32 - walked };
        Some((left, self.feet - self.height, left + width, self.feet))
    }

    /// Draws the person, and returns the visible area.
    pub fn draw(&self, picture: &mut [f32], t: f32) -> Option<Area> {
        let (left, top, right, bottom) = self.area(t)?;
        let (height, width) = (self.height, self.width());
        let centre = f32::midpoint(left, right);
        // Half a step is 0.4 of the height.
        let step =
            ((t - self.start) * self.speed.abs() / height / 0.4 * std::f32::consts::PI).sin();
        let ellipse = |x: f32, y: f32, cx: f32, cy: f32, rx: f32, ry: f32| {
            let d = (((x - cx) / rx).powi(2) + ((y - cy) / ry).powi(2)).sqrt();
            (1.0 - d) * rx.min(ry) + 0.5
        };
        blend(picture, (left, top, right, bottom), |x, y| {
            let v = (y - top) / height;
            let head = ellipse(x, y, centre, top + height * 0.08, height * 0.065, height * 0.08);
            let torso = ellipse(x, y, centre, top + height * 0.36, width * 0.36, height * 0.22);
            let swing = step * (v - 0.5).max(0.0) * height * 0.28;
            let leg = |side: f32| {
                let inside = v > 0.5 && v < 1.0;
                let x0 = centre + side * swing;
                if inside { height * 0.06 - (x - x0).abs() + 0.5 } else { -1.0 }
            };
            let legs = leg(1.0).max(leg(-1.0));
            if head > 0.0 {
                (head, self.tone.mul_add(0.5, 75.0))
            } else if torso > 0.0 {
                (torso, self.tone + 4.0 * ((v * 40.0).sin()))
            } else {
                (legs, self.tone * 0.85)
            }
        });
        visible((left, top, right, bottom))
    }
}

/// Returns the part of an area that is inside of the picture.
pub fn visible((left, top, right, bottom): Area) -> Option<Area> {
    let area = (left.max(0.0), top.max(0.0), right.min(WIDTH as f32), bottom.min(HEIGHT as f32));
    (area.2 - area.0 > 1.0 && area.3 - area.1 > 1.0).then_some(area)
}
