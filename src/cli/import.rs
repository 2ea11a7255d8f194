//! `stream-manager import`: imports cameras from a file, through the API of the running service.
//!
//! The service checks and stores the cameras, because only the service can use its database, and because running
//! streams switch to the new sources. The command itself reads the files of other systems, so that variables in
//! them come from the environment of the command.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use lexopt::prelude::{Long, Value as Positional, ValueExt};
use serde::Deserialize;
use serde_json::Value;

use super::client::{Client, ClientError};
use super::error::CommandError;
use super::runtime::block_on;
use crate::access::admin_key::AdminKey;
use crate::base::secret::Secret;
use crate::config::{self, Config};
use crate::imports::{self, Format, Import, ImportedCamera, LeftOut};
use crate::store::db::Location;

/// The largest file, in bytes; the API's limit for imports.
const MAX_FILE: u64 = 32 * 1024 * 1024;
/// The path of the API for imports.
const PATH: &str = "/api/cameras.json";

/// The options of the command.
#[derive(Debug, PartialEq)]
struct Options {
    /// The file; `-` for standard input.
    file: PathBuf,
    /// If true, the cameras are stored. Otherwise, the command only shows what it would store.
    apply: bool,
    /// The format of the file; `None` to recognize the format from the contents.
    format: Option<Format>,
    /// The URL of the service; `None` for the address in the settings.
    url: Option<String>,
}

impl Options {
    /// Reads the arguments that follow the name of the command.
    fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, lexopt::Error> {
        let mut parser = lexopt::Parser::from_args(arguments);
        let (mut file, mut apply, mut format, mut url) = (None, false, None, None);
        while let Some(argument) = parser.next()? {
            match argument {
                Positional(path) if file.is_none() => file = Some(PathBuf::from(path)),
                Long("apply") => apply = true,
                Long("format") => {
                    let name = parser.value()?.string()?;
                    let names = Format::ALL.map(|(name, _)| name).join(", ");
                    let unknown = || format!("--format must be one of: {names}");
                    format = Some(Format::parse(&name).ok_or_else(unknown)?);
                }
                Long("url") => url = Some(parser.value()?.string()?),
                other => return Err(other.unexpected()),
            }
        }
        let file = file.ok_or_else(|| "the file is missing".to_owned())?;
        Ok(Self { file, apply, format, url })
    }
}

/// The response to an import.
#[derive(Deserialize)]
struct Response {
    created: usize,
    updated: usize,
    unchanged: usize,
    #[serde(default)]
    cameras: Vec<Camera>,
}

/// A camera that would be stored.
#[derive(Deserialize)]
struct Camera {
    id: String,
    name: String,
    source: Option<String>,
    source_sub: Option<String>,
    /// The values of the options, such as `auto`.
    video: String,
    audio: String,
    transport: String,
    effect: String,
}

/// The value of an option that is not set.
const DEFAULT_OPTION: &str = "auto";

/// The notes about cameras, by their ids.
type Notes = HashMap<String, Vec<String>>;

/// The API key for the service, and the file from which it was read.
struct Key {
    secret: Option<Secret>,
    /// The file with the key that the service has created; `None` if the key comes from elsewhere.
    file: Option<PathBuf>,
}

/// Imports the cameras, or shows what would be imported. Returns the output to print.
pub(super) fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<String, CommandError> {
    let options = Options::parse(arguments).map_err(CommandError::ImportArguments)?;
    let config = Config::load()?;
    let (client, key) = match &options.url {
        Some(url) => (Client::new(url)?, Key { secret: config::api_key(), file: None }),
        None => (Client::of_service(&config)?, key_of_service(&config)?),
    };
    let bytes = read(&options.file)
        .map_err(|source| CommandError::ImportFile { path: options.file.clone(), source })?;
    let text = imports::text(&bytes)?;
    let format = imports::format(text, options.format)?;
    let mut import = imports::read(text, format, &config::file_variable)?;
    if options.apply && !import.missing_variables.is_empty() {
        return Err(CommandError::MissingVariables(names(&import)));
    }
    if options.apply && format != Format::Json && import.cameras.is_empty() {
        let reasons = left_out(&import.left_out).into_iter().map(|line| line + "\n");
        return Err(CommandError::NoCameras(reasons.collect()));
    }
    let (body, notes) = match format {
        Format::Json => (text.to_owned(), Notes::new()),
        _ => list(&mut import),
    };
    let path = if options.apply { PATH.to_owned() } else { format!("{PATH}?dry_run=true") };
    let response = block_on(client.put_json(&path, key.secret.clone(), body))?;
    let response = response.map_err(|error| match error {
        ClientError::Unauthorized => unauthorized(key),
        error => error.into(),
    })?;
    let response = serde_json::from_slice(&response).map_err(|_| ClientError::NotManager)?;
    Ok(if options.apply { stored(&response, &import) } else { preview(&response, &import, &notes) })
}

/// Returns the API key for the service in the settings: `API_KEY` or, if neither `API_KEY` nor `API_KEYS` is set,
/// the admin key that the service has created.
fn key_of_service(config: &Config) -> Result<Key, CommandError> {
    let secret = config::api_key();
    if secret.is_some() || config.api_keys.is_some() || config.is_anonymous() {
        return Ok(Key { secret, file: None });
    }
    let Ok(database) = Location::parse(&config.database_url) else {
        return Ok(Key { secret: None, file: None });
    };
    let key = AdminKey::read(database.path()).map_err(|error| {
        if error.is_unusable() {
            CommandError::KeyFile(error)
        } else {
            CommandError::AdminKey(error)
        }
    })?;
    Ok(Key {
        secret: key.map(|key| Secret::new(key.secret)),
        file: Some(AdminKey::file(database.path())),
    })
}

/// Returns the error for a service that refuses the key.
fn unauthorized(key: Key) -> CommandError {
    let Some(file) = key.file else { return ClientError::Unauthorized.into() };
    // The path in DATABASE_URL is often relative, which does not show where the command searched.
    let file = std::path::absolute(&file).unwrap_or(file);
    match key.secret {
        None => CommandError::NoKeyFile(file),
        Some(_) => CommandError::RefusedKeyFile(file),
    }
}

fn read(path: &PathBuf) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        io::stdin().take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    } else {
        File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 32 MiB"));
    }
    Ok(bytes)
}

/// Takes the cameras out of `import`. Returns them as a JSON list, and the notes about them.
fn list(import: &mut Import) -> (String, Notes) {
    let cameras = std::mem::take(&mut import.cameras).into_iter();
    let (fields, notes): (Vec<_>, Notes) = cameras
        .map(|ImportedCamera { fields, notes }| {
            let id = fields.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            (Value::Object(fields), (id, notes))
        })
        .unzip();
    (Value::Array(fields).to_string(), notes)
}

fn names(import: &Import) -> String {
    import.missing_variables.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Returns the output after an import.
fn stored(response: &Response, import: &Import) -> String {
    let Response { created, updated, unchanged, .. } = response;
    let counts = format!("imported: {created} added, {updated} changed, {unchanged} unchanged");
    [left_out(&import.left_out), vec![counts]].concat().join("\n")
}

/// Returns the output of a dry run: the cameras with notes, and what is left out.
fn preview(response: &Response, import: &Import, notes: &Notes) -> String {
    let mut lines = Vec::new();
    for camera in &response.cameras {
        let notes = notes.get(&camera.id).map(Vec::as_slice).unwrap_or_default();
        lines.extend(described(camera, notes));
    }
    lines.extend(left_out(&import.left_out));
    if !import.missing_variables.is_empty() {
        lines.push(format!("variables without a value: {}", names(import)));
    }
    lines.push(outlook(response));
    lines.join("\n")
}

/// Returns the lines about a camera. Each fact has a line of its own, because a link alone can fill the width of a
/// terminal.
fn described(camera: &Camera, notes: &[String]) -> Vec<String> {
    let Camera { id, name, source, source_sub, video, audio, transport, effect } = camera;
    let effect = match effect.as_str() {
        "created" => "added",
        "updated" => "changed",
        other => other,
    };
    let options = [("video", video), ("audio", audio), ("transport", transport)];
    let options = options.into_iter().filter(|(_, value)| *value != DEFAULT_OPTION);
    let options: Vec<_> = options.map(|(name, value)| format!("{name}: {value}")).collect();
    let facts = [
        ("name", Some(printable(name)).filter(|name| name != id)),
        ("main", source.clone()),
        ("sub", source_sub.clone()),
        ("options", Some(options.join(", ")).filter(|options| !options.is_empty())),
    ];
    let facts = facts.into_iter().filter_map(|(label, fact)| Some((label, fact?)));
    let notes = notes.iter().map(|note| ("note", printable(note)));
    let facts = facts.chain(notes).map(|(label, fact)| format!("  {label:7}  {fact}"));
    std::iter::once(format!("{id}: {effect}")).chain(facts).collect()
}

/// Returns what an import would do.
fn outlook(response: &Response) -> String {
    let Response { created, updated, unchanged, .. } = response;
    let parts =
        [(*created, "add", ""), (*updated, "change", ""), (*unchanged, "leave", " unchanged")];
    let parts = parts.into_iter().filter(|(count, ..)| *count > 0);
    let parts = parts.map(|(count, verb, end)| {
        let noun = if count == 1 { "camera" } else { "cameras" };
        format!("{verb} {count} {noun}{end}")
    });
    let parts: Vec<_> = parts.collect();
    let Some((last, others)) = parts.split_last() else {
        return "an import would add no camera".to_owned();
    };
    let parts =
        if others.is_empty() { last.clone() } else { format!("{} and {last}", others.join(", ")) };
    format!("an import would {parts}; to import, run the command again with --apply")
}

/// Returns one line for each part of the file that is left out.
fn left_out(left_out: &[LeftOut]) -> Vec<String> {
    let line = |part: &LeftOut| format!("left out: {}: {}", printable(&part.name), part.reason);
    left_out.iter().map(line).collect()
}

/// Returns a text from the file as one line, without characters that could control the terminal or change the order
/// of the text.
fn printable(text: &str) -> String {
    let is_order = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let shown = text.chars().map(|c| match c {
        '\t' | '\n' | '\r' => ' ',
        c if c.is_control() || is_order(c) => '?',
        c => c,
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_parsed() {
        let parse = |text: &str| Options::parse(text.split_whitespace().map(Into::into));
        let options =
            parse("--apply go2rtc.yaml --format go2rtc --url http://h:1").expect("options");
        let expected = Options {
            file: "go2rtc.yaml".into(),
            apply: true,
            format: Some(Format::Go2rtc),
            url: Some("http://h:1".to_owned()),
        };
        assert_eq!(options, expected);
        assert_eq!(parse("-").map(|options| options.file).ok(), Some(PathBuf::from("-")));
        for bad in ["", "a b", "--format x a", "--apply=1 a", "--url"] {
            let error = parse(bad).expect_err(bad).to_string();
            assert_eq!(error.lines().count(), 1, "{bad}");
        }
    }

    fn response(text: &str) -> Response {
        serde_json::from_str(text).expect("a response")
    }

    #[test]
    fn a_dry_run_shows_the_cameras_and_what_is_left_out() {
        let response = response(
            r#"{"created":1,"updated":1,"unchanged":0,"format":"json","cameras":[
                {"id":"gate","name":"Gate\t門","source":"rtsp://***@h/1","source_sub":"rtsp://***@h/2",
                 "video":"h264","audio":"auto","transport":"udp","effect":"created"},
                {"id":"yard","name":"yard","source":null,"source_sub":"rtsp://h/3",
                 "video":"auto","audio":"auto","transport":"auto","effect":"updated"}]}"#,
        );
        let left =
            LeftOut { name: "ne\u{1b}s\u{202e}t".into(), reason: "nest is not supported".into() };
        let missing_variables = ["CAM_PASSWORD".to_owned()].into();
        let import = Import { cameras: vec![], left_out: vec![left], missing_variables };
        let notes = Notes::from([("gate".to_owned(), vec!["left out: #timeout".to_owned()])]);
        let expected = "\
gate: added
  name     Gate 門
  main     rtsp://***@h/1
  sub      rtsp://***@h/2
  options  video: h264, transport: udp
  note     left out: #timeout
yard: changed
  sub      rtsp://h/3
left out: ne?s?t: nest is not supported
variables without a value: CAM_PASSWORD
an import would add 1 camera and change 1 camera; to import, run the command again with --apply";
        assert_eq!(preview(&response, &import, &notes), expected);
    }

    #[test]
    fn the_outlook_counts_cameras_in_singular_and_plural() {
        let outlook = |created, updated, unchanged| {
            outlook(&Response { created, updated, unchanged, cameras: Vec::new() })
        };
        assert_eq!(outlook(0, 0, 0), "an import would add no camera");
        let end = "; to import, run the command again with --apply";
        assert_eq!(outlook(1, 0, 0), format!("an import would add 1 camera{end}"));
        let expected =
            "an import would add 2 cameras, change 1 camera and leave 3 cameras unchanged";
        assert_eq!(outlook(2, 1, 3), format!("{expected}{end}"));
    }
}
