//! Encodes scenes with H.264 at 500 kbit/s, decodes them at 5 pictures per second, and keeps the results in the target
//! directory.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use stream_manager::parts::{Luma, MOTION_PIXELS, shrink};

use crate::canvas::{Area, HEIGHT, WIDTH};
use crate::scene::{Kind, RATE, Scene};

/// Changes with the scenes, so that old files are not used.
const VERSION: u32 = 1;
/// Each fifth frame is decoded into a picture.
const STEP: usize = 5;

/// The decoded pictures of a scene, shrunk to 160×90, and the areas in which something moves.
#[derive(Debug)]
pub struct Film {
    /// The pictures.
    pub pictures: Vec<Vec<u8>>,
    /// For each picture, the areas, in parts of the picture.
    pub areas: Vec<Vec<Area>>,
}

/// The time of a picture.
pub fn time(index: usize) -> Duration {
    Duration::from_millis(index as u64 * 1000 * STEP as u64 / RATE as u64)
}

/// Returns the file of a scene with this ending.
fn file(kind: Kind, seed: u64, seconds: f32, ending: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("scenes-{VERSION}"));
    fs::create_dir_all(&directory).expect("a directory");
    directory.join(format!("{kind:?}-{seed}-{seconds}.{ending}"))
}

/// Returns the film of a scene. Encodes it if that has not been done before.
pub fn film(kind: Kind, seed: u64, seconds: f32) -> Film {
    let video = encoded(kind, seed, seconds);
    let grey = file(kind, seed, seconds, "grey");
    if !grey.exists() {
        let mut shrunk = Vec::new();
        decode(&video, |picture| {
            let luma = Luma::new(picture, WIDTH, HEIGHT).expect("a picture");
            let mut small = vec![0; MOTION_PIXELS];
            shrink(luma, &mut small);
            shrunk.extend(small);
        });
        write(&grey, &shrunk);
    }
    let bytes = fs::read(&grey).expect("pictures");
    let pictures: Vec<_> = bytes.chunks_exact(MOTION_PIXELS).map(<[u8]>::to_vec).collect();
    let truth = fs::read_to_string(file(kind, seed, seconds, "areas")).expect("areas");
    let areas = truth.lines().step_by(STEP).map(parse).collect();
    Film { pictures, areas }
}

/// Returns the encoded video of a scene.
pub fn encoded(kind: Kind, seed: u64, seconds: f32) -> PathBuf {
    let video = file(kind, seed, seconds, "mkv");
    if video.exists() {
        return video;
    }
    let mut scene = Scene::new(kind, seed, seconds);
    let partial = file(kind, seed, seconds, "partial");
    let size = format!("{WIDTH}x{HEIGHT}");
    let rate = RATE.to_string();
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-y"])
        .args(["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", &size, "-r", &rate, "-i", "pipe:0"])
        .args(["-threads", "1", "-c:v", "libx264", "-preset", "superfast", "-bf", "0"])
        .args(["-b:v", "500k", "-maxrate", "500k", "-bufsize", "500k"])
        .args(["-g", "50", "-keyint_min", "50", "-sc_threshold", "0"])
        .args(["-x264-params", "rc-lookahead=0:sync-lookahead=0:mbtree=0"])
        .args(["-f", "matroska"])
        .arg(&partial)
        .stdin(Stdio::piped())
        .spawn()
        .expect("ffmpeg");
    let mut stdin = ffmpeg.stdin.take().expect("a pipe");
    let mut frame = vec![128; WIDTH * HEIGHT * 3 / 2];
    let mut truth = String::new();
    for number in 0..(scene.seconds() * RATE as f32) as usize {
        let areas = scene.draw(number, &mut frame[..WIDTH * HEIGHT]);
        stdin.write_all(&frame).expect("ffmpeg reads");
        let (w, h) = (WIDTH as f32, HEIGHT as f32);
        for (left, top, right, bottom) in areas {
            truth += &format!("{} {} {} {};", left / w, top / h, right / w, bottom / h);
        }
        truth += "\n";
    }
    drop(stdin);
    assert!(ffmpeg.wait().expect("ffmpeg ends").success());
    write(&file(kind, seed, seconds, "areas"), truth.as_bytes());
    fs::rename(partial, &video).expect("a file");
    video
}

/// Decodes a video, and passes on each picture, grey, with 5 pictures per second.
pub fn decode(video: &Path, mut each: impl FnMut(&[u8])) {
    let select = format!("select=not(mod(n\\,{STEP}))");
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error"])
        .args(["-threads", "1", "-i"])
        .arg(video)
        .args([
            "-vf",
            &select,
            "-fps_mode",
            "passthrough",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "gray",
            "pipe:1",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("ffmpeg");
    let mut stdout = ffmpeg.stdout.take().expect("a pipe");
    let mut picture = vec![0; WIDTH * HEIGHT];
    while stdout.read_exact(&mut picture).is_ok() {
        each(&picture);
    }
    assert!(ffmpeg.wait().expect("ffmpeg ends").success());
}

fn write(path: &Path, bytes: &[u8]) {
    let partial = path.with_extension("writing");
    fs::write(&partial, bytes).expect("a file");
    fs::rename(partial, path).expect("a file");
}

fn parse(line: &str) -> Vec<Area> {
    let areas = line.split(';').filter(|area| !area.is_empty());
    let numbers = areas
        .map(|area| area.split(' ').map(|n| n.parse().expect("a number")).collect::<Vec<f32>>());
    numbers.map(|n| (n[0], n[1], n[2], n[3])).collect()
}
