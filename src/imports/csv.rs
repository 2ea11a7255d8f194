//! Tables with one camera per line. The header line names the fields of the API.

use std::collections::HashSet;

use csv::{ByteRecord, ReaderBuilder};
use serde_json::{Map, Value, json};

use super::camera::{Ids, ImportedCamera, is_link};
use super::model::{Import, ImportError, MAX_LINES};

/// The names of the columns: the fields of a camera in the API.
const COLUMNS: [&str; 19] = [
    "id",
    "name",
    "owner",
    "rtsp_link",
    "rtsp_link_sub",
    "vendor",
    "ip",
    "port",
    "path",
    "sub_path",
    "username",
    "password",
    "onvif",
    "video",
    "audio",
    "transport",
    "keep",
    "recording",
    "motion",
];
/// The values of the column `recording`. The mode `schedule` needs times, for which a table has no place.
const RECORDINGS: [&str; 3] = ["off", "continuous", "events"];
/// The values of the column `motion`.
const MOTIONS: [&str; 2] = ["off", "pictures"];
/// Other names of columns.
const ALIASES: [(&str, &str); 9] = [
    ("camera_id", "id"),
    ("url", "rtsp_link"),
    ("link", "rtsp_link"),
    ("rtsp_url", "rtsp_link"),
    ("rtsp_url_sub", "rtsp_link_sub"),
    ("host", "ip"),
    ("address", "ip"),
    ("user", "username"),
    ("manufacturer", "vendor"),
];
/// The characters between the fields of a line. Spreadsheets use a semicolon where the comma is the decimal
/// separator.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// The longest header line, in bytes.
const MAX_HEADER: usize = 4096;

/// Returns whether the first line of the text names a column with links or addresses.
pub(super) fn has_header(text: &str) -> bool {
    let line = first_line(text);
    if line.len() > MAX_HEADER {
        return false;
    }
    let mut names = line.split(char::from(delimiter(line))).filter_map(column);
    names.any(|name| matches!(name, "rtsp_link" | "rtsp_link_sub" | "ip"))
}

/// Reads the cameras in a table.
pub(super) fn read(text: &str) -> Result<Import, ImportError> {
    if first_line(text).len() > MAX_HEADER {
        return Err(ImportError::Csv { line: 1, problem: "is too long for a header" });
    }
    let delimiter = delimiter(first_line(text));
    let mut reader =
        ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(text.as_bytes());
    let failed = |error: &csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        ImportError::Csv { line, problem: "is not valid CSV" }
    };
    let header = reader.byte_headers().map_err(|error| failed(&error))?.clone();
    let columns = columns(&header)?;
    let (mut rows, mut ids) = (Vec::new(), Ids::default());
    for record in reader.into_byte_records() {
        let record = record.map_err(|error| failed(&error))?;
        let line = record.position().map_or(1, csv::Position::line);
        if record.len() > columns.len() {
            let problem = "has more fields than the header; put quotation marks around a field that contains \
                           the delimiter";
            return Err(ImportError::Csv { line, problem });
        }
        if rows.len() == MAX_LINES {
            let problem = "is beyond the limit of 100,000 cameras; import the file in parts";
            return Err(ImportError::Csv { line, problem });
        }
        let begin = record.position().and_then(|at| usize::try_from(at.byte()).ok());
        let written = begin.and_then(|begin| text.get(begin..)).unwrap_or_default();
        if cuts_a_link(&columns, &record, written, delimiter) {
            let problem = "has a link that the delimiter may have cut off in its password; put quotation marks \
                           around the link";
            return Err(ImportError::Csv { line, problem });
        }
        let Some(row) = row(&columns, &record, line)? else { continue };
        if row.get("id").and_then(Value::as_str).is_some_and(|id| !ids.reserve(id)) {
            return Err(ImportError::Csv { line, problem: "has the same id as an earlier line" });
        }
        rows.push(row);
    }
    let cameras = rows.into_iter().map(|row| with_id(row, &mut ids)).collect();
    Ok(Import { cameras, ..Import::default() })
}

/// Returns whether a delimiter may be a part of the password in a link: the link contains no `@`, but the next
/// field does, and no quotation mark is between them. `written` is the text of the file from this line on.
fn cuts_a_link(columns: &[&str], record: &ByteRecord, written: &str, delimiter: u8) -> bool {
    let is_link = |column: &&str| matches!(*column, "rtsp_link" | "rtsp_link_sub");
    let indexes = (0..record.len()).filter(|index| columns.get(*index).is_some_and(is_link));
    let mut pairs = indexes.filter_map(|index| Some((&record[index], record.get(index + 1)?)));
    pairs.any(|(link, next)| {
        let joined = [link, &[delimiter], next].concat();
        let line = written.as_bytes();
        !link.trim_ascii().is_empty()
            && !link.contains(&b'@')
            && next.contains(&b'@')
            && line.windows(joined.len()).take(record.as_slice().len() * 2).any(|it| it == joined)
    })
}

/// Returns the fields of a line; `None` if all of them are empty.
fn row(
    columns: &[&'static str],
    record: &ByteRecord,
    line: u64,
) -> Result<Option<Map<String, Value>>, ImportError> {
    let mut fields = Map::new();
    for (column, value) in columns.iter().zip(record) {
        let not_text = |_| ImportError::Csv { line, problem: "is not a text in UTF-8" };
        let value = std::str::from_utf8(value).map_err(not_text)?;
        // Blanks may be part of a password.
        let value = if *column == "password" { value } else { value.trim() };
        if value.is_empty() {
            continue;
        }
        let value = match *column {
            "port" => {
                let problem = "has a port that is not a number from 1 to 65535";
                let port = value.parse::<u16>().ok().filter(|port| *port > 0);
                port.ok_or(ImportError::Csv { line, problem })?.into()
            }
            "recording" => {
                let problem =
                    "has a recording that is not off, continuous or events; set a schedule later";
                let mode = RECORDINGS.into_iter().find(|mode| value.eq_ignore_ascii_case(mode));
                json!({ "mode": mode.ok_or(ImportError::Csv { line, problem })? })
            }
            "motion" => {
                let problem = "has a motion that is not off or pictures; add zones later";
                let source = MOTIONS.into_iter().find(|source| value.eq_ignore_ascii_case(source));
                json!({ "source": source.ok_or(ImportError::Csv { line, problem })? })
            }
            "name" if is_link(value) => {
                let problem = "has a link instead of a name";
                return Err(ImportError::Csv { line, problem });
            }
            _ => value.into(),
        };
        fields.insert((*column).to_owned(), value);
    }
    Ok((!fields.is_empty()).then_some(fields))
}

/// Returns a camera with an id: the id in the file, or an id that resembles its name or its address.
fn with_id(mut fields: Map<String, Value>, ids: &mut Ids) -> ImportedCamera {
    if !fields.contains_key("id") {
        let text = |field| fields.get(field).and_then(Value::as_str);
        let id = ids.unique(text("name").or_else(|| text("ip")).unwrap_or("camera"));
        fields.insert("id".to_owned(), id.into());
    }
    ImportedCamera { fields, notes: Vec::new() }
}

/// Returns the names of the columns.
fn columns(header: &ByteRecord) -> Result<Vec<&'static str>, ImportError> {
    let mut known = HashSet::new();
    let names = header.iter().enumerate().map(|(index, name)| {
        let name = std::str::from_utf8(name).ok().and_then(column);
        name.filter(|name| known.insert(*name))
            .ok_or(ImportError::Column { column: index + 1, allowed: &COLUMNS })
    });
    names.collect()
}

/// Returns the column with this name.
fn column(name: &str) -> Option<&'static str> {
    let name = name.trim().trim_matches('"').trim().to_ascii_lowercase().replace([' ', '-'], "_");
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, name)| *name);
    alias.or_else(|| COLUMNS.into_iter().find(|known| *known == name))
}

fn first_line(text: &str) -> &str {
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default()
}

/// Returns the delimiter that occurs most often in the header line.
fn delimiter(header: &str) -> u8 {
    let count = |delimiter: u8| header.bytes().filter(|byte| *byte == delimiter).count();
    // Of several delimiters with the same count, max_by_key returns the last one, which is the first in DELIMITERS.
    DELIMITERS.into_iter().rev().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imports::camera::tests::summary;

    #[test]
    fn the_column_recording_has_the_mode() {
        let text = "url,Recording\nrtsp://192.0.2.8/1,Continuous\nrtsp://192.0.2.9/1,\n";
        let import = read(text).expect("cameras");
        assert_eq!(import.cameras[0].fields["recording"], json!({ "mode": "continuous" }));
        assert!(!import.cameras[1].fields.contains_key("recording"));
        let error = read("url,recording\nrtsp://192.0.2.8/1,schedule\n").err().expect("no times");
        assert!(error.to_string().contains("off, continuous or events"), "{error}");
    }

    #[test]
    fn the_column_motion_has_the_source() {
        let import = read("url,motion\nrtsp://192.0.2.8/1,Pictures\n").expect("cameras");
        assert_eq!(import.cameras[0].fields["motion"], json!({ "source": "pictures" }));
        let error = read("url,motion\nrtsp://192.0.2.8/1,on\n").err().expect("no source");
        assert!(error.to_string().contains("off or pictures"), "{error}");
    }

    #[test]
    fn lines_become_cameras() {
        let text = "\
ID;Name;RTSP URL;rtsp_link_sub;Transport\r\n\
gate;\"Gate; left\";rtsp://u:p@192.0.2.7/1;rtsp://u:p@192.0.2.7/2;tcp\r\n\
;Yard;rtsp://192.0.2.8/1\r\n\
;;;;\r\n\
;gate;rtsp://192.0.2.9/1;;\r\n";
        assert!(has_header(text));
        let import = read(text).expect("cameras");
        let cameras: Vec<_> = import.cameras.iter().map(summary).collect();
        let expected = [
            "gate Gate; left rtsp://u:p@192.0.2.7/1 rtsp://u:p@192.0.2.7/2",
            "Yard Yard rtsp://192.0.2.8/1 -",
            "gate-2 gate rtsp://192.0.2.9/1 -",
        ];
        assert_eq!(cameras, expected);
        assert_eq!(import.cameras[0].fields["transport"], "tcp");
    }

    #[test]
    fn addresses_keep_the_blanks_of_passwords() {
        let text = "vendor,host,port,user,password\nhikvision, 192.0.2.7 ,8554,admin, a b \n";
        let fields = &read(text).expect("cameras").cameras[0].fields;
        let expected = serde_json::json!({
            "vendor": "hikvision", "ip": "192.0.2.7", "port": 8554, "username": "admin",
            "password": " a b ", "id": "192-0-2-7",
        });
        assert_eq!(Value::Object(fields.clone()), expected);
    }

    #[test]
    fn a_link_that_the_delimiter_may_have_cut_off_is_refused() {
        for text in [
            "name;url;owner\nx;rtsp://admin:12;w@192.0.2.1/x\n",
            "url,name\nrtsp://u:p@h/x,a\nrtsp://admin:1/2,w@192.0.2.1/x\n",
        ] {
            let error = read(text).err().expect(text).to_string();
            assert!(error.contains("put quotation marks"), "{error}");
        }
        for text in ["url,name\n\"rtsp://h/x\",a@b\n", "url,name\nrtsp://u:p@h/x,a@b\n"] {
            assert!(read(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn errors_name_the_line_or_the_column() {
        let table = [
            ("ip,colour\nx,red\n", "column 2"),
            ("ip,host\nx,y\n", "column 2"),
            ("name,ip\nrtsp://u:secret@h/1,192.0.2.7\n", "line 2 of the file has a link"),
            ("ip,port\n192.0.2.7,80\n192.0.2.8,x\n", "line 3 of the file has a port"),
            (
                "id,url\na,rtsp://h/1\n\nb,rtsp://h/2\na,rtsp://h/3\n",
                "line 5 of the file has the same id",
            ),
            ("ip,path\n192.0.2.7,/a,b\n", "line 2 of the file has more fields"),
        ];
        for (text, expected) in table {
            let error = read(text).err().expect(text).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
