//! Fuzz targets for files with cameras of other systems.

use std::collections::HashSet;

use serde_json::Value;

use super::support::assert_is_line;
use crate::camera::id::is_id;
use crate::camera::source::Source;
use crate::imports::{self, Format};

/// The value of the variables in the files.
const SECRET: &str = "hunter22-of-variables";

/// Reads `data` as the configuration of mediamtx; see [`check`].
pub fn import_mediamtx(data: &[u8]) {
    check(data, Format::Mediamtx);
}

/// Reads `data` as the configuration of go2rtc; see [`check`].
pub fn import_go2rtc(data: &[u8]) {
    check(data, Format::Go2rtc);
}

/// Reads `data` as the configuration of Frigate; see [`check`].
pub fn import_frigate(data: &[u8]) {
    check(data, Format::Frigate);
}

/// Reads `data` as a table of cameras; see [`check`].
pub fn import_csv(data: &[u8]) {
    check(data, Format::Csv);
}

/// Checks that errors, reasons and notes are single lines, that reasons and notes do not contain the values of
/// variables, and, except for CSV, that ids are unique and that ids and links are valid.
fn check(data: &[u8], format: Format) {
    let text = match imports::text(data) {
        Ok(text) => text,
        Err(error) => return assert_is_line(&error.to_string(), 300),
    };
    if let Err(error) = imports::format(text, None) {
        assert_is_line(&error.to_string(), 300);
    }
    let variable = |name: &str| (!name.ends_with('X')).then(|| SECRET.to_owned());
    let import = match imports::read(text, format, &variable) {
        Ok(import) => import,
        Err(error) => return assert_is_line(&error.to_string(), 300),
    };
    for left_out in &import.left_out {
        // Names of variables can be long.
        assert_is_line(&left_out.reason, 4000);
        assert!(!left_out.reason.contains(SECRET), "{left_out:?}");
    }
    for name in &import.missing_variables {
        assert_is_line(name, 128);
    }
    let mut ids = HashSet::new();
    for camera in &import.cameras {
        for note in &camera.notes {
            assert_is_line(note, 1000);
            assert!(!note.contains(SECRET), "{note}");
        }
        let text = |field| camera.fields.get(field).and_then(Value::as_str);
        let id = text("id").expect("an id");
        // Only the API checks the fields of a CSV table.
        if format == Format::Csv {
            continue;
        }
        assert!(is_id(id) && ids.insert(id), "{id:?}");
        text("rtsp_link").expect("a link");
        for link in ["rtsp_link", "rtsp_link_sub"].into_iter().filter_map(text) {
            let source = Source::parse(link).expect(link);
            source.ensure_usable().expect(link);
        }
    }
}
