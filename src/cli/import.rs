//! `stream-manager import`: imports cameras from a file, through the API of the running service.
//!
//! The service checks and stores the cameras, because only the service can use its database, and because running
//! streams switch to the new sources. The command itself reads the files of other systems, so that variables in
//! them come from the environment of the command.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use lexopt::prelude::{Long, Value as Positional, ValueExt};
use serde::Deserialize;
use serde_json::Value;

use super::client::{self, Client};
use super::error::CommandError;
use super::runtime::block_on;
use super::table;
use crate::access::admin_key::AdminKey;
use crate::base::secret::Secret;
use crate::config::{self, Config};
use crate::imports::{self, Format, Import, LeftOut};
use crate::store::db;

/// The largest file, in bytes; the API's limit for imports.
const MAX_FILE: u64 = 32 * 1024 * 1024;
/// The path of the import.
const PATH: &str = "/api/cameras.json";

/// The options of the command.
#[derive(Debug, PartialEq)]
struct Options {
    /// The file; `-` for standard input.
    file: PathBuf,
    /// If true, the cameras are stored. Otherwise, the command only shows what it would store.
    apply: bool,
    /// The format of the file; `None` if the contents show the format.
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
    effect: String,
}

/// Imports the cameras, or shows what would be imported. Returns the output to print.
pub(super) fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<String, CommandError> {
    let options = Options::parse(arguments).map_err(CommandError::ImportArguments)?;
    let config = Config::load()?;
    let (client, key) = match &options.url {
        Some(url) => (Client::new(url)?, config::api_key()),
        None => (Client::of_service(&config)?, key_of_service(&config)?),
    };
    let bytes = read(&options.file)
        .map_err(|source| CommandError::ImportFile { path: options.file.clone(), source })?;
    let text = imports::text(&bytes)?;
    let format = options.format.map_or_else(|| imports::detect(text), Ok)?;
    let mut import = imports::read(text, format, &config::file_variable)?;
    let body = match format {
        Format::Json => text.to_owned(),
        _ => list(&mut import),
    };
    if options.apply && !import.missing_variables.is_empty() {
        return Err(CommandError::MissingVariables(names(&import)));
    }
    let path = if options.apply { PATH.to_owned() } else { format!("{PATH}?dry_run=true") };
    let response = block_on(client.put_json(&path, key, body))??;
    let response =
        serde_json::from_slice(&response).map_err(|_| client::ClientError::NotManager)?;
    Ok(if options.apply { stored(&response, &import) } else { preview(&response, &import) })
}

/// Returns the API key for the service in the settings: `API_KEY` or, if neither `API_KEY` nor `API_KEYS` is set,
/// the admin key that the service has created. `None` if there is no such key.
fn key_of_service(config: &Config) -> Result<Option<Secret>, CommandError> {
    let key = config::api_key();
    if key.is_some() || config.api_keys.is_some() || config.is_anonymous() {
        return Ok(key);
    }
    let Some(database) = db::file_at(&config.database_url) else { return Ok(None) };
    Ok(AdminKey::read(&database)?.map(|key| Secret::new(key.secret)))
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

/// Takes the cameras out of `import`, and returns them as a JSON list.
fn list(import: &mut Import) -> String {
    let cameras = std::mem::take(&mut import.cameras);
    Value::Array(cameras.into_iter().map(|camera| Value::Object(camera.0)).collect()).to_string()
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

/// Returns the output of a dry run: a table of the cameras, and what is left out.
fn preview(response: &Response, import: &Import) -> String {
    let Response { created, updated, unchanged, cameras } = response;
    let mut lines = Vec::new();
    if !cameras.is_empty() {
        let mut rows =
            vec![["CAMERA", "NAME", "MAIN STREAM", "SUB STREAM", "EFFECT"].map(str::to_owned)];
        rows.extend(cameras.iter().map(row));
        lines.push(table::aligned(&rows));
    }
    lines.extend(left_out(&import.left_out));
    if !import.missing_variables.is_empty() {
        lines.push(format!("variables without a value: {}", names(import)));
    }
    lines.push(format!(
        "an import would add {created}, change {updated} and leave {unchanged} cameras unchanged; \
         --apply imports them"
    ));
    lines.join("\n")
}

fn row(camera: &Camera) -> [String; 5] {
    let Camera { id, name, source, source_sub, effect } = camera;
    let link = |link: &Option<String>| link.clone().unwrap_or_else(|| "-".to_owned());
    let effect = match effect.as_str() {
        "created" => "added",
        "updated" => "changed",
        other => other,
    };
    [id.clone(), printable(name), link(source), link(source_sub), effect.to_owned()]
}

/// Returns one line for each part of the file that is left out.
fn left_out(left_out: &[LeftOut]) -> Vec<String> {
    let line = |part: &LeftOut| format!("left out: {}: {}", printable(&part.name), part.reason);
    left_out.iter().map(line).collect()
}

/// Returns a text of the file without control characters, which could change the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
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

    #[test]
    fn a_dry_run_shows_the_cameras_and_what_is_left_out() {
        let response: Response = serde_json::from_str(
            r#"{"created":1,"updated":1,"unchanged":0,"format":"json","cameras":[
                {"id":"gate","name":"Gate","source":"rtsp://***@h/1","source_sub":"rtsp://***@h/2",
                 "effect":"created"},
                {"id":"yard","name":"yard","source":null,"source_sub":"rtsp://h/3","effect":"updated"}]}"#,
        )
        .expect("a response");
        let left = LeftOut { name: "ne\u{1b}st".into(), reason: "nest is not supported".into() };
        let missing_variables = ["CAM_PASSWORD".to_owned()].into();
        let import = Import { cameras: vec![], left_out: vec![left], missing_variables };
        let expected = "\
CAMERA  NAME  MAIN STREAM     SUB STREAM      EFFECT
gate    Gate  rtsp://***@h/1  rtsp://***@h/2  added
yard    yard  -               rtsp://h/3      changed
left out: ne?st: nest is not supported
variables without a value: CAM_PASSWORD
an import would add 1, change 1 and leave 0 cameras unchanged; --apply imports them";
        assert_eq!(preview(&response, &import), expected);
    }
}
