//! Share links.

use hyper::StatusCode;

use super::operations::last_segment;
use super::wire::{NewShareOutput, ShareInput, SharesOutput};
use crate::api::reply::{self, Reply};
use crate::api::route::Call;
use crate::base::error::Error;
use crate::service::replay::shares;

/// Returns the share links of a camera.
pub(super) async fn list(call: Call<'_>) -> Result<Reply, Error> {
    let shares = shares::list(&call.api.core, &call.caller, &call.camera_id()?).await?;
    Ok(reply::json(&SharesOutput::new(&shares)))
}

/// Creates a share link.
pub(super) async fn create(mut call: Call<'_>) -> Result<Reply, Error> {
    let id = call.camera_id()?;
    let new = call.input::<ShareInput>().await?.parse()?;
    let (session, token) = shares::create(&call.api.core, &call.caller, &id, new).await?;
    let mut reply = reply::json(&NewShareOutput::new(&id, &session, token, &call.api.public_url));
    *reply.status_mut() = StatusCode::CREATED;
    Ok(reply)
}

/// Deletes a share link.
pub(super) async fn delete(call: Call<'_>) -> Result<Reply, Error> {
    let id = call.camera_id()?;
    shares::delete(&call.api.core, &call.caller, &id, last_segment(&call)).await?;
    Ok(reply::no_content())
}
