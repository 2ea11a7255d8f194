//! When there are recordings, for timelines. The same data is below `/api/` and below `/recordings/`, where playback tokens
//! can be part of the path.

use hyper::Method;

use super::operations::{of_stream, stream_id};
use super::wire::{ActivityOutput, DaysInput, DaysOutput, TimeInput, TimelineOutput};
use crate::api::failures;
use crate::api::operation::Operation;
use crate::api::reply::{self, Reply};
use crate::api::route::{Audience, Call, ReplyFuture, Row};
use crate::base::error::Error;
use crate::service::replay::timeline;

type Handler = for<'a> fn(Call<'a>) -> ReplyFuture<'a>;

/// The endpoints.
pub(super) fn routes() -> Vec<Row> {
    let row = |path, handler: Handler, documentation: fn() -> Operation| {
        Row::new(Method::GET, path, Audience::Viewers, handler, documentation)
    };
    vec![
        row("/api/recordings/{id}", |call| Box::pin(get(call)), || spans("getTimeline")),
        row(
            "/recordings/{id}/timeline.json",
            |call| Box::pin(get(call)),
            || spans("getTimelineForPlayers"),
        ),
        row(
            "/api/recordings/{id}/days",
            |call| Box::pin(days(call)),
            || in_days("getRecordedDays"),
        ),
        row(
            "/recordings/{id}/days.json",
            |call| Box::pin(days(call)),
            || in_days("getRecordedDaysForPlayers"),
        ),
        row(
            "/api/recordings/{id}/activity",
            |call| Box::pin(activity(call)),
            || in_parts("getRecordedActivity"),
        ),
        row(
            "/recordings/{id}/activity.json",
            |call| Box::pin(activity(call)),
            || in_parts("getRecordedActivityForPlayers"),
        ),
    ]
}

fn spans(id: &'static str) -> Operation {
    of_stream(id, "Returns when there are recordings of a stream, and the events of the camera")
        .describe("At most 31 days. A playback token that is limited to a time gets only what is in this time.")
        .query::<TimeInput>()
        .returns::<TimelineOutput>("The times with recordings, and the events.")
        .fails(failures::QUERY)
}

fn in_days(id: &'static str) -> Operation {
    of_stream(id, "Returns on which days there are recordings of a stream")
        .query::<DaysInput>()
        .returns::<DaysOutput>("For each day, whether there are recordings.")
        .fails(failures::QUERY)
}

fn in_parts(id: &'static str) -> Operation {
    of_stream(id, "Returns how much happens in the recordings of a stream")
        .describe("The time, of at most two days, is divided into 480 equal parts. A moving picture has a higher bit rate.")
        .query::<TimeInput>()
        .returns::<ActivityOutput>("The parts with recordings.")
        .fails(failures::QUERY)
}

async fn get(call: Call<'_>) -> Result<Reply, Error> {
    let (id, time) = (stream_id(&call)?, call.query::<TimeInput>()?.parse()?);
    let timeline = timeline::get(&call.api.core, &id, &call.shown(), time).await?;
    Ok(reply::json(&TimelineOutput::new(&id, timeline)))
}

async fn days(call: Call<'_>) -> Result<Reply, Error> {
    let (id, limits) = (stream_id(&call)?, call.query::<DaysInput>()?.parse()?);
    let days = timeline::days(&call.api.core, &id, &call.shown(), &limits).await?;
    Ok(reply::json(&DaysOutput { days }))
}

async fn activity(call: Call<'_>) -> Result<Reply, Error> {
    let (id, time) = (stream_id(&call)?, call.query::<TimeInput>()?.parse()?);
    let activity = timeline::activity(&call.api.core, &id, &call.shown(), time).await?;
    Ok(reply::json(&ActivityOutput::new(&activity)))
}
