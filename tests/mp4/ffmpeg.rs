//! Runs FFmpeg, and reads files with ffprobe and GStreamer.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Runs a program and returns its standard output. Panics if the program fails or writes a message.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {messages}");
    assert_eq!(messages, "", "{program} {arguments:?}");
    output.stdout
}

/// Runs FFmpeg, which writes the file `to`.
pub(crate) fn ffmpeg(arguments: &[&str], to: &Path) {
    let arguments = [&["-v", "error", "-y"], arguments, &[text(to)]].concat();
    run("ffmpeg", &arguments);
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// A frame, as ffprobe describes it. Times are in ticks of the track, and -1 if ffprobe reports none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    pub pts: i64,
    pub dts: i64,
    pub duration: i64,
    pub is_keyframe: bool,
    /// Offset of the frame in the file, in bytes.
    pub position: usize,
    /// Size in bytes.
    pub size: usize,
    pub hash: String,
}

/// Returns the frames of a file's only video track (`v`) or audio track (`a`).
pub(crate) fn packets(file: &Path, kind: &str) -> Vec<Packet> {
    let packets = ffprobe(file, kind, &["-show_packets", "-show_data_hash", "md5"]);
    let packets = packets["packets"].as_array().expect("packets");
    packets.iter().map(packet).collect()
}

fn packet(packet: &Value) -> Packet {
    let number = |name: &str| packet[name].as_i64();
    let written = |name: &str| packet[name].as_str().and_then(|text| text.parse().ok());
    Packet {
        pts: number("pts").unwrap_or(-1),
        dts: number("dts").unwrap_or(-1),
        duration: number("duration").unwrap_or(-1),
        is_keyframe: packet["flags"].as_str().expect("flags").contains('K'),
        position: written("pos").unwrap_or_default(),
        size: written("size").expect("a size"),
        hash: packet["data_hash"].as_str().expect("a hash").to_owned(),
    }
}

/// Returns ffprobe's description of a file's only video track (`v`) or audio track (`a`).
pub(crate) fn stream(file: &Path, kind: &str) -> Value {
    ffprobe(file, kind, &["-show_streams"])["streams"][0].take()
}

fn ffprobe(file: &Path, kind: &str, what: &[&str]) -> Value {
    let arguments =
        [&["-v", "warning", "-of", "json", "-select_streams", kind], what, &[text(file)]];
    serde_json::from_slice(&run("ffprobe", &arguments.concat())).expect("JSON")
}

/// Returns the hashes of all decoded pictures (`v`), or of all decoded audio (`a`). Panics if FFmpeg
/// reports an error. For MP4, also panics if FFmpeg reports a warning. For streams without timestamps,
/// warnings are normal.
pub(crate) fn decoded(file: &Path, kind: &str) -> Vec<String> {
    let level =
        if file.extension().is_some_and(|kind| kind == "mp4") { "warning" } else { "error" };
    let map = format!("0:{kind}");
    let arguments = ["-v", level, "-i", text(file), "-map", &map, "-fps_mode", "passthrough", "-f"];
    let lines = run("ffmpeg", &[&arguments[..], &["framemd5", "-"]].concat());
    let lines = String::from_utf8(lines).expect("text");
    let frames = lines.lines().filter(|line| !line.starts_with('#'));
    frames.filter_map(|line| line.rsplit(',').next()).map(|hash| hash.trim().to_owned()).collect()
}

/// Returns the tracks that GStreamer reads from an MP4 file, as `qtdemux.py` prints them.
pub(crate) fn qtdemux(file: &Path) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mp4/qtdemux.py");
    serde_json::from_slice(&run("/usr/bin/python3", &[text(&script), text(file)])).expect("JSON")
}
