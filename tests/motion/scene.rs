//! Scenes: what a camera sees, and where something moves. All scenes are made from a seed.

use std::f32::consts::TAU;

use crate::canvas::{Area, HEIGHT, Texture, WIDTH, Walker, backdrop, blend, streak, visible};
use crate::random::Random;

/// Pictures of the camera per second.
pub const RATE: usize = 25;

/// The kinds of scenes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing but sensor noise.
    Still,
    /// A lamp is switched on and off, with the camera's exposure following.
    Lamp,
    /// Changes to infrared and back.
    Infrared,
    /// A tree in the wind, with gusts.
    Tree,
    /// Shadows of clouds.
    Clouds,
    /// Insects in front of the camera at infrared.
    Insects,
    /// Rain that comes and goes.
    Rain,
    /// A ball that rolls into the right half and back.
    Ball,
    /// A person who walks slowly.
    Slow,
    /// Two people who walk at once.
    Two,
    /// Eight walks of varied size, speed and contrast.
    Walks,
    /// Eight walks in front of a tree, in rain or among insects.
    Mixed,
    /// A walk while a lamp is switched, and after a change to infrared.
    AfterLight,
}

impl Kind {
    /// The scenes in which nothing moves that matters.
    pub const NOISY: [Self; 7] = [
        Self::Still,
        Self::Lamp,
        Self::Infrared,
        Self::Tree,
        Self::Clouds,
        Self::Insects,
        Self::Rain,
    ];
}

/// A scene.
#[derive(Debug)]
pub struct Scene {
    kind: Kind,
    random: Random,
    day: Vec<f32>,
    night: Vec<f32>,
    texture: Texture,
    walkers: Vec<Walker>,
    ball: Option<Ball>,
    tree: Option<Tree>,
    insects: Vec<Insect>,
    /// Times at which light or mode change, in seconds.
    switches: Vec<f32>,
    lamp: Vec<f32>,
    noise: f32,
    table: Vec<f32>,
    phase: f32,
    seconds: f32,
    has_rain: bool,
    has_insects: bool,
    is_night: bool,
    is_lamp: bool,
}

#[derive(Debug)]
struct Ball {
    rolls: Vec<(f32, f32, f32)>,
    y: f32,
    radius: f32,
    tone: f32,
}

#[derive(Debug)]
struct Tree {
    x: f32,
    y: f32,
    radius: f32,
    frequency: f32,
    wind: f32,
}

#[derive(Debug)]
struct Insect {
    x: f32,
    y: f32,
    angle: f32,
    speed: f32,
    turn: f32,
    radius: f32,
    add: f32,
    until: f32,
}

impl Scene {
    /// Creates a scene of `seconds`.
    pub fn new(kind: Kind, seed: u64, seconds: f32) -> Self {
        let mut random = Random::new(seed ^ ((kind as u64) << 32));
        let mut day = backdrop(&mut random);
        let texture = Texture::new(&mut random);
        let night = (0..WIDTH * HEIGHT)
            .map(|i| {
                let (x, y) = ((i % WIDTH) as f32, (i / WIDTH) as f32);
                let d = ((x - 320.0) / 400.0).powi(2) + ((y - 180.0) / 240.0).powi(2);
                (20.0 + 0.45 * day[i] + 18.0 * texture.cloud(x, y, 90.0))
                    * (1.15 - 0.6 * d).max(0.2)
            })
            .collect::<Vec<_>>();
        let mut is_night = matches!(kind, Kind::Insects);
        let mut noise = random.between(2.5, 5.0);
        let (mut has_rain, mut has_insects) = (kind == Kind::Rain, kind == Kind::Insects);
        let mut tree = (kind == Kind::Tree).then(|| Tree::new(&mut random));
        if kind == Kind::Mixed {
            match seed % 3 {
                0 => tree = Some(Tree::new(&mut random)),
                1 => has_rain = true,
                _ => (is_night, has_insects) = (true, true),
            }
        }
        if kind == Kind::Walks && random.below(4) == 0 {
            is_night = true;
        }
        if is_night {
            noise = random.between(5.0, 8.0);
        }
        let (switch_low, switch_high) =
            if kind == Kind::Infrared { (35.0, 60.0) } else { (15.0, 40.0) };
        let mut switches = Vec::new();
        let mut at = 12.0;
        while matches!(kind, Kind::Lamp | Kind::Infrared | Kind::AfterLight) && at < seconds {
            switches.push(at);
            at += random.between(switch_low, switch_high);
        }
        let lamp = lamp(&mut random);
        let is_lamp = kind == Kind::Lamp || kind == Kind::AfterLight && seed.is_multiple_of(2);
        if is_lamp {
            day.iter_mut().for_each(|pixel| *pixel = *pixel * 0.45 + 10.0);
        }
        let table = (0..1 << 18).map(|_| random.normal()).collect();
        let mut scene = Self {
            kind,
            day,
            night,
            texture,
            walkers: Vec::new(),
            ball: None,
            tree,
            insects: Vec::new(),
            switches,
            lamp,
            noise,
            table,
            phase: random.between(0.0, 100.0),
            seconds,
            has_rain,
            has_insects,
            is_night,
            is_lamp,
            random,
        };
        scene.place_actors();
        scene
    }

    fn place_actors(&mut self) {
        let random = &mut self.random;
        let picture = if self.is_night { &self.night } else { &self.day };
        match self.kind {
            Kind::Slow => {
                let mut walker =
                    walker(random, picture, 10.0, (60.0, 160.0), (0.1, 0.2), (30.0, 70.0));
                walker.turns = Some(25.0);
                self.walkers.push(walker);
            }
            Kind::Two => {
                let first = walker(random, picture, 10.0, (90.0, 140.0), (0.6, 0.9), (30.0, 70.0));
                let mut second =
                    walker(random, picture, 10.0, (90.0, 140.0), (0.6, 0.9), (30.0, 70.0));
                second.speed = -first.speed.signum() * second.speed.abs();
                self.walkers = vec![first, second];
            }
            Kind::Walks | Kind::Mixed => {
                let mut start = if self.kind == Kind::Mixed { 40.0 } else { 10.0 };
                for _ in 0..8 {
                    let walker =
                        walker(random, picture, start, (40.0, 220.0), (0.3, 1.4), (15.0, 80.0));
                    start = walker.end() + random.between(9.0, 14.0);
                    self.walkers.push(walker);
                }
            }
            Kind::AfterLight => {
                for (index, &switch) in self.switches.iter().enumerate() {
                    let start = switch + random.between(3.0, 5.0);
                    let is_infrared = !self.is_lamp && index.is_multiple_of(2);
                    let picture = if is_infrared { &self.night } else { &self.day };
                    let walker =
                        walker(random, picture, start, (80.0, 180.0), (0.8, 1.4), (40.0, 70.0));
                    self.walkers.push(walker);
                }
            }
            Kind::Ball => {
                let mut rolls = Vec::new();
                let mut at = 10.0;
                while at + 20.0 < self.seconds {
                    let speed = random.between(60.0, 180.0);
                    rolls.push((at, speed, random.between(420.0, 560.0)));
                    at += 2.0 * 640.0 / speed + 12.0;
                }
                let y = random.between(200.0, 330.0);
                let under = tone_under(picture, y - 20.0, y);
                let tone = if under > 128.0 { under - 60.0 } else { under + 60.0 };
                self.ball = Some(Ball { rolls, y, radius: random.between(12.0, 24.0), tone });
            }
            _ => {}
        }
    }

    /// Returns the length of the scene in seconds: until the last person is gone, and some seconds more.
    pub fn seconds(&self) -> f32 {
        if matches!(self.kind, Kind::Walks | Kind::Mixed | Kind::Slow | Kind::Two) {
            self.walkers.iter().map(Walker::end).fold(0.0, f32::max) + 10.0
        } else {
            self.seconds
        }
    }

    /// Draws a frame, and returns the areas in which something moves that matters.
    pub fn draw(&mut self, number: usize, out: &mut [u8]) -> Vec<Area> {
        let t = number as f32 / RATE as f32;
        let (mut picture, noise) = self.lit(t);
        let mut areas = Vec::new();
        if let Some(tree) = &self.tree {
            tree.draw(&mut picture, &self.texture, t + self.phase);
        }
        for walker in &self.walkers {
            areas.extend(walker.draw(&mut picture, t));
        }
        if let Some(ball) = &self.ball {
            areas.extend(ball.draw(&mut picture, t));
        }
        if self.has_insects {
            self.fly(&mut picture, t);
        }
        if self.has_rain {
            self.rain(&mut picture, t);
        }
        for (row, out) in picture.chunks(WIDTH).zip(out.chunks_mut(WIDTH)) {
            let offset = self.random.below(self.table.len() - WIDTH);
            let random = &self.table[offset..offset + WIDTH];
            for ((out, pixel), random) in out.iter_mut().zip(row).zip(random) {
                *out = (pixel + noise * random).clamp(16.0, 235.0) as u8;
            }
        }
        areas
    }

    /// Returns the picture without things that move, and the noise.
    fn lit(&self, t: f32) -> (Vec<f32>, f32) {
        let switched = self.switches.iter().rposition(|&at| at <= t);
        let since = switched.map_or(f32::MAX, |index| t - self.switches[index]);
        let is_on = switched.is_some_and(|index| index % 2 == 0);
        match self.kind {
            Kind::Clouds => (self.clouds(t), self.noise),
            Kind::Lamp | Kind::AfterLight if self.is_lamp => {
                // The lamp needs two frames; then the exposure follows.
                let level = (since / 0.08).min(1.0);
                let level = if is_on { level } else { 1.0 - level };
                let level = if switched.is_none() { 0.0 } else { level };
                let exposure = 1.0 - 0.25 * level * (1.0 - (-since.min(100.0)).exp());
                let lit = self.day.iter().zip(&self.lamp);
                (
                    lit.map(|(pixel, lamp)| pixel * (1.0 + level * lamp) * exposure).collect(),
                    self.noise,
                )
            }
            Kind::Infrared | Kind::AfterLight => {
                let (from, to) =
                    if is_on { (&self.day, &self.night) } else { (&self.night, &self.day) };
                if switched.is_none() {
                    return (self.day.clone(), self.noise);
                }
                // Dark for a moment, then the new mode with a gain that settles within 2 s.
                if since < 0.3 {
                    let dark = (1.0 - since / 0.12).clamp(0.1, 1.0);
                    return (from.iter().map(|pixel| pixel * dark).collect(), self.noise);
                }
                let gain = 1.0 + 0.6 * (-(since - 0.3).min(50.0) / 0.6).exp() * (since * 5.0).cos();
                let noise = if is_on { 7.0 } else { self.noise };
                (to.iter().map(|pixel| pixel * gain).collect(), noise)
            }
            _ if self.is_night => (self.night.clone(), self.noise),
            _ => (self.day.clone(), self.noise),
        }
    }

    fn clouds(&self, t: f32) -> Vec<f32> {
        const CELL: usize = 8;
        let (columns, rows) = (WIDTH / CELL + 1, HEIGHT / CELL + 1);
        let (vx, vy) = (25.0 + 20.0 * self.texture.at(3.5, 1.5), 6.0);
        let gains: Vec<f32> = (0..columns * rows)
            .map(|i| {
                let (x, y) = ((i % columns * CELL) as f32, (i / columns * CELL) as f32);
                let x = (x + (t + self.phase) * vx) / 260.0;
                let y = (y + (t + self.phase) * vy) / 200.0;
                let field = self.texture.at(x, y) + 0.3 * self.texture.at(x * 3.0, y * 3.0);
                1.0 - 0.38 * (field * 3.0 + 0.5).clamp(0.0, 1.0)
            })
            .collect();
        let mut picture = self.day.clone();
        for (i, pixel) in picture.iter_mut().enumerate() {
            let (x, y) = (i % WIDTH, i / WIDTH);
            let (cx, cy) = (x / CELL, y / CELL);
            let (u, v) = ((x % CELL) as f32 / CELL as f32, (y % CELL) as f32 / CELL as f32);
            let gain = |cx: usize, cy: usize| gains[cy * columns + cx];
            let above = gain(cx, cy) * (1.0 - u) + gain(cx + 1, cy) * u;
            let below = gain(cx, cy + 1) * (1.0 - u) + gain(cx + 1, cy + 1) * u;
            *pixel *= above * (1.0 - v) + below * v;
        }
        picture
    }

    fn fly(&mut self, picture: &mut [f32], t: f32) {
        let step = 1.0 / RATE as f32;
        let random = &mut self.random;
        if random.unit() < 0.7 * step {
            self.insects.push(Insect {
                x: random.between(0.0, WIDTH as f32),
                y: random.between(0.0, HEIGHT as f32),
                angle: random.between(0.0, TAU),
                speed: random.between(150.0, 700.0),
                turn: random.between(-4.0, 4.0),
                radius: random.between(2.0, 7.0),
                add: random.between(60.0, 150.0),
                until: t + random.between(0.3, 1.6),
            });
        }
        self.insects.retain(|insect| insect.until > t);
        for insect in &mut self.insects {
            insect.angle += insect.turn * step + 0.35 * random.normal();
            let (dx, dy) = (insect.angle.cos() * insect.speed, insect.angle.sin() * insect.speed);
            let end = (insect.x + dx / 40.0, insect.y + dy / 40.0);
            streak(picture, (insect.x, insect.y), end, insect.radius, insect.add);
            insect.x += dx * step;
            insect.y += dy * step;
        }
    }

    fn rain(&mut self, picture: &mut [f32], t: f32) {
        let random = &mut self.random;
        // Begins after 15 s, and is stronger and weaker in turns.
        let strength =
            ((t - 15.0) / 10.0).clamp(0.0, 1.0) * (0.65 + 0.35 * (t / 17.0 + self.phase).sin());
        let slant = random.between(0.05, 0.25);
        for _ in 0..(220.0 * strength) as usize {
            let (x, y) = (random.between(0.0, WIDTH as f32), random.between(-30.0, HEIGHT as f32));
            let length = random.between(12.0, 45.0);
            let add = random.between(10.0, 40.0);
            streak(
                picture,
                (x, y),
                (x + slant * length, y + length),
                random.between(0.3, 1.0),
                add,
            );
        }
        for _ in 0..(3.0 * strength * random.unit() + 0.3) as usize {
            let (x, y) = (random.between(0.0, WIDTH as f32), random.between(-60.0, HEIGHT as f32));
            let length = random.between(60.0, 140.0);
            let add = random.between(10.0, 30.0);
            streak(
                picture,
                (x, y),
                (x + slant * length, y + length),
                random.between(1.5, 3.0),
                add,
            );
        }
    }
}

impl Tree {
    fn new(random: &mut Random) -> Self {
        Self {
            x: random.between(120.0, 520.0),
            y: random.between(80.0, 170.0),
            radius: random.between(60.0, 110.0),
            frequency: random.between(0.3, 0.7),
            wind: random.between(2.0, 7.0),
        }
    }

    fn draw(&self, picture: &mut [f32], texture: &Texture, t: f32) {
        let gust = (0.35 + 0.65 * texture.at(t / 9.0, 11.5)).clamp(0.08, 1.0);
        let amplitude = self.wind * gust;
        let r = self.radius;
        let waves: Vec<f32> = (0..256).map(|i| (i as f32 / 256.0 * TAU).sin()).collect();
        let wave = |phase: f32| waves[(phase * 256.0) as i32 as usize & 255];
        let phase = self.frequency * t;
        let trunk = (self.x - 6.0, self.y, self.x + 6.0, self.y + 2.2 * r);
        blend(picture, trunk, |_, _| (1.0, 70.0));
        let margin = self.wind + 2.0;
        let area =
            (self.x - r - margin, self.y - r - margin, self.x + r + margin, self.y + r + margin);
        blend(picture, area, |x, y| {
            let (u, v) = (x - self.x, y - self.y);
            // Branches sway together, leaves on their own.
            let dx = amplitude
                * (wave(phase + 0.003 * v) + 0.5 * wave(3.1 * phase + 0.017 * u + 0.023 * v));
            let dy = 0.4 * amplitude * wave(2.3 * phase + 0.02 * u);
            let (u, v) = (u + dx, v + dy);
            let edge = 1.0 - (u * u + v * v).sqrt() / r;
            let leaves = texture.at(u / 7.0 + 31.0, v / 7.0 + 17.0);
            let alpha = edge * 6.0 + texture.at(u / 14.0, v / 14.0 + 5.0) * 1.6 + 0.3;
            (alpha, 85.0 + 40.0 * leaves)
        });
    }
}

impl Ball {
    fn draw(&self, picture: &mut [f32], t: f32) -> Option<Area> {
        let &(start, speed, turn) = self.rolls.iter().rfind(|roll| roll.0 <= t)?;
        let rolled = (t - start) * speed;
        let x = rolled.min(2.0 * turn - rolled) - self.radius;
        let r = self.radius;
        let area = visible((x - r, self.y - r, x + r, self.y + r))?;
        blend(picture, area, |px, py| {
            let d = ((px - x).powi(2) + (py - self.y).powi(2)).sqrt();
            (r - d + 0.5, self.tone)
        });
        Some(area)
    }
}

/// Returns a person whose clothes differ from the picture behind by a contrast in the given range. The range of the speed
/// is in heights per second.
fn walker(
    random: &mut Random,
    picture: &[f32],
    start: f32,
    height: (f32, f32),
    speed: (f32, f32),
    contrast: (f32, f32),
) -> Walker {
    let height = random.between(height.0, height.1);
    let feet = random.between((height + 20.0).max(180.0), HEIGHT as f32 - 5.0);
    let under = tone_under(picture, feet - height * 0.8, feet);
    let contrast = random.between(contrast.0, contrast.1);
    let sign = if under > 130.0 {
        -1.0
    } else if under < 70.0 {
        1.0
    } else {
        random.sign()
    };
    let speed = random.sign() * random.between(speed.0, speed.1) * height;
    Walker { start, height, feet, speed, tone: under + sign * contrast, turns: None }
}

/// Returns the mean tone of the rows.
fn tone_under(picture: &[f32], top: f32, bottom: f32) -> f32 {
    let rows = &picture[top.max(0.0) as usize * WIDTH..bottom as usize * WIDTH];
    rows.iter().sum::<f32>() / rows.len() as f32
}

/// Returns how much a lamp adds to each pixel, as a part of the tone. Something throws a sharp shadow.
fn lamp(random: &mut Random) -> Vec<f32> {
    let (x0, y0) = (random.between(0.0, WIDTH as f32), random.between(0.0, 150.0));
    let strength = random.between(0.8, 2.5);
    let shadow = random.between(0.2, 2.6);
    (0..WIDTH * HEIGHT)
        .map(|i| {
            let (dx, dy) = ((i % WIDTH) as f32 - x0, (i / WIDTH) as f32 - y0);
            let light = strength / (1.0 + (dx * dx + dy * dy) / 90_000.0);
            let is_shadow = (dy.atan2(dx) - shadow).abs() < 0.12;
            if is_shadow { light * 0.3 } else { light }
        })
        .collect()
}
