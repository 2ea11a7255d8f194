//! Motion in front of cameras.

use hyper::Method;

use super::failures;
use super::operation::Operation;
use super::reply::{self, Reply};
use super::route::{Audience, Call, Row};
use crate::access::role::Role;
use crate::base::error::Error;
use crate::service::analysing;
use wire::MotionOutput;

pub(crate) mod wire;

/// The endpoints.
pub(super) fn routes() -> Vec<Row> {
    vec![Row::new(
        Method::GET,
        "/api/cameras/{id}/motion",
        Audience::Callers(Role::Viewer),
        |call| Box::pin(status(call)),
        || {
            Operation::new("events", "getMotion", "Returns what moves in front of a camera now")
                .describe(
                    "Motion is detected if the camera's option `motion` has the source `pictures`. Each motion is also an \
                     event of the type `motion`.",
                )
                .of_camera()
                .returns::<MotionOutput>("The state of the detection.")
                .fails(failures::DATABASE)
                .fails(failures::CAMERA)
        },
    )]
}

async fn status(call: Call<'_>) -> Result<Reply, Error> {
    let view = analysing::status(&call.api.core, &call.caller, &call.camera_id()?).await?;
    Ok(reply::json(&MotionOutput::new(view)))
}
