//! Imports of cameras: lists as JSON, and files of other systems.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use utoipa::IntoParams;

use super::input::CameraInput;
use super::output::ImportOutput;
use crate::api::input::{from_json, from_value, raw_json};
use crate::api::reply::{self, Reply};
use crate::api::route::Call;
use crate::api::wire::flag;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::CameraId;
use crate::imports::{self, Format, Import, ImportedCamera};
use crate::service::camera_change::CameraChange;
use crate::service::cameras;

/// The largest import, in bytes: enough for 100,000 cameras with short entries.
const MAX_IMPORT: usize = 32 * 1024 * 1024;

/// Allows only one file to be read at a time, because a large file needs much memory and time.
static IMPORTS: Semaphore = Semaphore::const_new(1);

/// The parameters of an import.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportInput {
    /// If true, the import changes nothing. The response lists the cameras that it would store.
    #[serde(default, deserialize_with = "flag")]
    #[param(default = false)]
    dry_run: bool,
    /// The format of the body. By default, the manager recognizes the format from the contents of the body.
    #[serde(default)]
    #[param(nullable = false)]
    format: Option<Format>,
}

/// An object whose field `cameras` is the list, such as the response of `GET /api/cameras`.
#[derive(Deserialize)]
struct CameraList<'a> {
    #[serde(borrow)]
    cameras: &'a RawValue,
}

/// Imports the cameras in the body or in a file of a multipart form, or shows what an import would store.
pub(super) async fn import(mut call: Call<'_>) -> Result<Reply, Error> {
    let ImportInput { dry_run, format } = call.query()?;
    let body = call.file_up_to(MAX_IMPORT).await?;
    if body.is_empty() {
        return Err(Error::new(ErrorKind::InvalidRequest, "the body is missing"));
    }
    let place = IMPORTS.acquire().await.map_err(|_| reading_failed())?;
    // Reads on a thread for blocking work, so that the rest of the manager does not wait. The work continues
    // even if the client disconnects.
    let read = spawn_blocking(move || {
        let _place = place;
        read(&body, format)
    });
    let Contents { format, entries, notes, import } =
        read.await.map_err(|_| reading_failed())??;
    let core = &call.api.core;
    if dry_run {
        let previewed = cameras::preview_import(core, entries).await?;
        return Ok(reply::json(&ImportOutput::previewed(&previewed, notes, format, import)));
    }
    ensure_complete(format, &entries, &import)?;
    let changes = cameras::import(core, &call.caller, entries).await?;
    Ok(reply::json(&ImportOutput::new(&changes, import)))
}

/// The contents of a file: its cameras, and everything else in `import`.
struct Contents {
    format: Format,
    entries: Vec<(CameraId, CameraChange)>,
    /// The notes about each camera; empty for JSON.
    notes: Vec<Vec<String>>,
    import: Import,
}

fn read(body: &[u8], format: Option<Format>) -> Result<Contents, Error> {
    let text = imports::text(body)?;
    let format = imports::format(text, format)?;
    // Variables in the file are not replaced with values from the manager's environment, which contains secrets.
    let mut import = imports::read(text, format, &|_| None)?;
    let (entries, notes) = match format {
        Format::Json => (json_entries(text)?, Vec::new()),
        _ => other_entries(&mut import)?,
    };
    Ok(Contents { format, entries, notes, import })
}

fn reading_failed() -> Error {
    Error::new(ErrorKind::Internal, "the file was not read because of an error in the manager")
}

/// Returns an error if a file of another system contains no camera that can be imported, or if the import would lose
/// cameras for a reason that the caller can remove.
fn ensure_complete(
    format: Format,
    entries: &[(CameraId, CameraChange)],
    import: &Import,
) -> Result<(), Error> {
    let missing: Vec<_> = import.missing_variables.iter().map(String::as_str).collect();
    let detail = if !missing.is_empty() {
        format!(
            "the file contains the variables {}, whose values the manager does not know; replace them, or \
             import the file with the command stream-manager import",
            missing.join(", ")
        )
    } else if entries.is_empty() && format != Format::Json {
        let detail =
            "the file contains no camera that can be imported; dry_run=true shows the reasons";
        detail.to_owned()
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::InvalidRequest, detail))
}

/// Returns the entries of a JSON list, or of the list `cameras` of a JSON object.
fn json_entries(text: &str) -> Result<Vec<(CameraId, CameraChange)>, Error> {
    let text = text.as_bytes();
    let list: Vec<&RawValue> = if text.trim_ascii_start().starts_with(b"{") {
        let cameras = raw_json::<CameraList<'_>>(text)?.cameras.get();
        raw_json(cameras.as_bytes()).map_err(|_| {
            let detail = "invalid request: `cameras` must be a list of cameras";
            Error::new(ErrorKind::InvalidRequest, detail)
        })?
    } else {
        raw_json(text)?
    };
    let entries = list.into_iter().enumerate().map(|(index, raw)| {
        let text = raw.get().as_bytes();
        let id = || from_json::<EntryId>(text).ok().and_then(EntryId::id);
        entry(from_json(text)).map_err(|error| cameras::in_entry(index, id().as_ref(), error))
    });
    entries.collect()
}

/// The entries of a file, and the notes about each entry.
type EntriesWithNotes = (Vec<(CameraId, CameraChange)>, Vec<Vec<String>>);

/// Takes the entries of a file of another system out of `import`, and returns them.
fn other_entries(import: &mut Import) -> Result<EntriesWithNotes, Error> {
    let cameras = std::mem::take(&mut import.cameras).into_iter().enumerate();
    let entries = cameras.map(|(index, ImportedCamera { fields, notes })| {
        let id = EntryId { id: fields.get("id").cloned() }.id();
        let entry = entry(from_value(Value::Object(fields)))
            .map_err(|error| cameras::in_entry(index, id.as_ref(), error))?;
        Ok((entry, notes))
    });
    entries.collect()
}

fn entry(input: Result<CameraInput, Error>) -> Result<(CameraId, CameraChange), Error> {
    let (id, new) = input?.split()?;
    let missing = || Error::new(ErrorKind::InvalidId, "the id of the camera is missing");
    Ok((id.ok_or_else(missing)?, new))
}

/// The id of an entry. The entry's other fields may be invalid.
#[derive(Deserialize)]
struct EntryId {
    id: Option<Value>,
}

impl EntryId {
    /// Returns the id if it is valid.
    fn id(self) -> Option<CameraId> {
        CameraId::parse(self.id?.as_str()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_that_are_not_a_list_are_named_in_the_error() {
        for text in [r#"{"cameras":{"id":"a"}}"#, r#"{"cameras":"a"}"#] {
            let error = json_entries(text).err().expect(text);
            assert_eq!(error.detail, "invalid request: `cameras` must be a list of cameras");
        }
    }
}
