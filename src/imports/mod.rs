//! Cameras from the files of other systems: the configurations of mediamtx, go2rtc and Frigate, and CSV. The
//! parsers only read a text; they open no files and no connections.
//!
//! | Module | Owns |
//! |---|---|
//! | `mediamtx` | `mediamtx.yml`: paths and their sources |
//! | `go2rtc` | `go2rtc.yaml`: streams with one or several sources |
//! | `frigate` | Frigate's `config.yml`: cameras, the roles of their inputs, and the section `go2rtc` |
//! | `csv` | tables with one camera per line |
//! | `model` | the formats, the result of an import, and the errors |
//! | `yaml` | YAML within limits |
//! | `link` | RTSP links with the prefixes and options of other systems |
//! | `placeholders` | variables in links |
//! | `streams` | sources that lead to other streams of the same file |
//! | `camera` | the cameras of an import, their ids, and the pairing of main and sub streams |
//! | `notes` | options of the other system that are lost in the import |

pub(crate) use camera::ImportedCamera;
use camera::is_link;
pub(crate) use model::{Format, Import, ImportError, LeftOut};

mod camera;
mod csv;
mod frigate;
mod go2rtc;
mod link;
mod mediamtx;
mod model;
mod notes;
mod placeholders;
mod streams;
mod yaml;

/// Returns the text of a file, without a byte order mark.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, ImportError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ImportError::NotText)?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Returns the format of a file. If a format is `chosen`, checks that the file has this format. Otherwise, detects
/// the format from the contents.
pub(crate) fn format(text: &str, chosen: Option<Format>) -> Result<Format, ImportError> {
    let Some(chosen) = chosen else { return detect(text) };
    let is_yaml = !matches!(chosen, Format::Json | Format::Csv);
    if is_yaml && yaml::read::<yaml::Sections>(text)?.formats().any(|format| format == chosen) {
        return Ok(chosen);
    }
    match detect(text) {
        Ok(found) if found == chosen => Ok(chosen),
        Ok(found) => Err(ImportError::OtherFormat { chosen, found }),
        // Reading the table returns a more precise error, which names the column.
        Err(_) if chosen == Format::Csv => Ok(chosen),
        Err(_) => Err(ImportError::NotFormat(chosen)),
    }
}

/// Returns the format that the contents of a file show.
fn detect(text: &str) -> Result<Format, ImportError> {
    if text.trim_start().starts_with(['[', '{']) {
        return Ok(Format::Json);
    }
    if csv::has_header(text) {
        return Ok(Format::Csv);
    }
    match yaml::read::<yaml::Sections>(text) {
        Ok(sections) => sections.formats().next().ok_or(ImportError::UnknownFormat),
        // Plain text is valid YAML as well, but does not have the structure of a configuration.
        Err(ImportError::Yaml { problem: yaml::STRUCTURE, .. }) => Err(ImportError::UnknownFormat),
        Err(error) => Err(error),
    }
}

/// Reads the cameras in `text`. `variable` returns the value of a variable in a link. Returns no cameras for
/// [`Format::Json`], which the API reads itself.
pub(crate) fn read(
    text: &str,
    format: Format,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Import, ImportError> {
    let mut import = match format {
        Format::Json => Import::default(),
        Format::Csv => csv::read(text)?,
        Format::Mediamtx => mediamtx::read(text, variable)?,
        Format::Go2rtc => go2rtc::read(text, variable)?,
        Format::Frigate => frigate::read(text, variable)?,
    };
    for left_out in import.left_out.iter_mut().filter(|left_out| is_link(&left_out.name)) {
        "(a link instead of a name)".clone_into(&mut left_out.name);
    }
    Ok(import)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contents_show_the_format() {
        let table = [
            ("[]", Ok(Format::Json)),
            (" \n{\"cameras\":[]}", Ok(Format::Json)),
            ("id,rtsp_link\n", Ok(Format::Csv)),
            ("Name;URL\n", Ok(Format::Csv)),
            ("# comment\nlogLevel: info\npaths:\n  a:\n", Ok(Format::Mediamtx)),
            ("streams:\n  a: rtsp://h/x\n", Ok(Format::Go2rtc)),
            ("mqtt:\n  host: x\ngo2rtc:\n  streams: {}\ncameras: {}\n", Ok(Format::Frigate)),
            ("", Err(ImportError::UnknownFormat)),
            ("just text", Err(ImportError::UnknownFormat)),
            ("other: 1\n", Err(ImportError::UnknownFormat)),
        ];
        for (text, expected) in table {
            assert_eq!(format(text, None), expected, "{text:?}");
        }
        for (name, format) in Format::ALL {
            assert_eq!(Format::parse(name), Some(format));
            assert_eq!(serde_json::to_value(format).expect("JSON"), name);
        }
    }

    #[test]
    fn a_chosen_format_must_be_the_format_of_the_file() {
        let both = "paths: {a: }\nstreams: {b: }\n";
        let other = |chosen, found| Err(ImportError::OtherFormat { chosen, found });
        let table = [
            (both, Format::Mediamtx, Ok(Format::Mediamtx)),
            (both, Format::Go2rtc, Ok(Format::Go2rtc)),
            (both, Format::Frigate, other(Format::Frigate, Format::Go2rtc)),
            ("{\"paths\": {\"a\": {}}}", Format::Mediamtx, Ok(Format::Mediamtx)),
            ("[]", Format::Json, Ok(Format::Json)),
            ("id,url\n", Format::Json, other(Format::Json, Format::Csv)),
            ("streams: {b: }\n", Format::Csv, other(Format::Csv, Format::Go2rtc)),
            ("id,name\n", Format::Csv, Ok(Format::Csv)),
            ("other: {b: }\n", Format::Go2rtc, Err(ImportError::NotFormat(Format::Go2rtc))),
        ];
        for (text, chosen, expected) in table {
            assert_eq!(format(text, Some(chosen)), expected, "{text:?}");
        }
        let error = ImportError::OtherFormat { chosen: Format::Go2rtc, found: Format::Mediamtx };
        assert!(error.to_string().contains("looks like a configuration of mediamtx"), "{error}");
    }

    #[test]
    fn a_byte_order_mark_is_ignored_and_other_encodings_are_refused() {
        assert_eq!(text(b"\xef\xbb\xbf[]"), Ok("[]"));
        assert_eq!(text(b"\xff\xfe[\0]\0"), Err(ImportError::NotText));
    }
}
