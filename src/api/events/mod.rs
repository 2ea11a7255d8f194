//! Events: finding them, counting them, following them as server-sent events, marking them as seen, and reporting them.

use std::sync::Arc;

use hyper::{Method, StatusCode};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::Type;

use super::failures;
use super::media::playlists::visitor;
use super::operation::Operation;
use super::reply::{self, Reply};
use super::route::{Audience, Call, Row};
use super::schema;
use crate::access::role::Role;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::{STREAM_ID_PATTERN, StreamId};
use crate::service::events;
use crate::store::event_log::report::Effect;
use stream::EVENT_STREAM;
use wire::{
    CountsInput, CountsOutput, EventsInput, EventsOutput, FollowInput, ReportInput, SeenInput,
    SeenOutput, StoredEventOutput,
};

mod stream;
pub(crate) mod wire;

const VIEWERS: Audience = Audience::Callers(Role::Viewer);
const USERS: Audience = Audience::Callers(Role::User);

const STREAM: &str = "The response is a stream of server-sent events. The data of each message is a stored event. If an \
     event changes, for example because it ends, it is sent again with the same `id`. With the header \
     `Last-Event-ID`, which browsers send when they connect again, the stream continues after that message. \
     If events after that message have been deleted, the first message is the event `reset`, and the client \
     must request the list of events again. Comments are sent every 15 s.";

/// The endpoints.
pub(super) fn routes() -> Vec<Row> {
    vec![
        Row::new(
            Method::GET,
            "/api/events",
            VIEWERS,
            |call| Box::pin(list(call)),
            || {
                operation("listEvents", "Returns a page of the events that the caller can see")
                    .describe(
                        "Callers whose role is `user` see the events that happened while they owned the camera. Further \
                         events do not change the pages after a cursor.",
                    )
                    .query::<EventsInput>()
                    .returns::<EventsOutput>("The page, the newest events first.")
                    .fails(failures::QUERY)
                    .fails(&[ErrorKind::InvalidId])
            },
        ),
        counts(),
        Row::new(
            Method::POST,
            "/api/events/seen",
            USERS,
            |call| Box::pin(mark_seen(call)),
            || {
                operation("markEventsSeen", "Marks events as seen, for all users")
                    .takes::<SeenInput>()
                    .returns::<SeenOutput>("The events are marked.")
                    .fails(&[ErrorKind::InvalidId])
            },
        ),
        Row::new(
            Method::GET,
            "/api/events/stream",
            VIEWERS,
            |call| Box::pin(follow(call)),
            || {
                operation("followEvents", "Returns the events that the caller can see, as they happen")
                    .describe(STREAM)
                    .query::<FollowInput>()
                    .parameter(last_id())
                    .returns_other(EVENT_STREAM, Type::String, "The events.")
                    .fails(failures::QUERY)
                    .fails(&[ErrorKind::InvalidId, ErrorKind::TooManyViewers])
            },
        )
        .without_head(),
        Row::new(
            Method::POST,
            "/api/cameras/{id}/events",
            USERS,
            |call| Box::pin(report(call)),
            || {
                operation("reportEvent", "Stores an event of a camera that a back end reports")
                    .describe(
                        "A report with a known `id` adds no event, and changes only the end (`until`) of the event, if the \
                         report has one. At most 600 new events can be reported for a camera within an hour.",
                    )
                    .of_camera()
                    .takes::<ReportInput>()
                    .creates::<StoredEventOutput>("The event is stored.", None)
                    .returns::<StoredEventOutput>("The event was already known.")
                    .fails(failures::CAMERA)
                    .fails(&[
                        ErrorKind::EventExists,
                        ErrorKind::TooManyEvents,
                        ErrorKind::ShuttingDown,
                    ])
            },
        ),
        Row::new(
            Method::GET,
            "/streams/{id}/events",
            Audience::Viewers,
            |call| Box::pin(follow_camera(call)),
            || {
                operation("followCameraEvents", "Returns the events of a camera, as they happen")
                    .describe(&format!(
                        "{STREAM} A playback token gives access to events of the last five minutes and to later \
                         ones, or to all events of the camera if it has the right `recordings` without a limit."
                    ))
                    .of(Some(STREAM_ID_PATTERN), "The camera's id.")
                    .parameter(last_id())
                    .returns_other(EVENT_STREAM, Type::String, "The events.")
                    .fails(failures::CAMERA)
                    .fails(&[ErrorKind::TooManyViewers])
            },
        )
        .without_head(),
    ]
}

/// The endpoint of counts.
fn counts() -> Row {
    Row::new(
        Method::GET,
        "/api/events/counts",
        VIEWERS,
        |call| Box::pin(count(call)),
        || {
            operation("countEvents", "Counts the events that the caller can see, by hour, camera and type")
                .describe(
                    "Callers whose role is `user` get counts of the events that happened while they owned the camera.",
                )
                .query::<CountsInput>()
                .returns::<CountsOutput>("The counts.")
                .fails(failures::QUERY)
                .fails(&[ErrorKind::InvalidId])
        },
    )
}

fn operation(id: &'static str, summary: &'static str) -> Operation {
    Operation::new("events", id, summary).fails(failures::DATABASE)
}

fn last_id() -> Parameter {
    ParameterBuilder::new()
        .name("Last-Event-ID")
        .parameter_in(ParameterIn::Header)
        .description(Some(
            "The id of the last message that the client has got, or `last_event_id` of a page of events.",
        ))
        .schema(Some(schema::string(None)))
        .build()
}

async fn list(call: Call<'_>) -> Result<Reply, Error> {
    let (query, before, limit) = call.query::<EventsInput>()?.parse()?;
    let page = events::list(&call.api.core, &call.caller, query, before, limit).await?;
    Ok(reply::json(&EventsOutput::new(page)))
}

async fn count(call: Call<'_>) -> Result<Reply, Error> {
    let query = call.query::<CountsInput>()?.parse()?;
    let counts = events::count_by_hour(&call.api.core, &call.caller, query).await?;
    Ok(reply::json(&CountsOutput::new(counts)))
}

async fn mark_seen(mut call: Call<'_>) -> Result<Reply, Error> {
    let (query, ids) = call.input::<SeenInput>().await?.parse()?;
    let marked = events::mark_seen(&call.api.core, &call.caller, query, ids).await?;
    Ok(reply::json(&SeenOutput { marked }))
}

async fn report(mut call: Call<'_>) -> Result<Reply, Error> {
    let id = call.camera_id()?;
    let new = call.input::<ReportInput>().await?.parse()?;
    let reported = events::report(&call.api.core, &call.caller, &id, new).await?;
    let mut reply = reply::json(&StoredEventOutput::new(reported.row));
    if reported.effect == Effect::Added {
        *reply.status_mut() = StatusCode::CREATED;
    }
    Ok(reply)
}

async fn follow(call: Call<'_>) -> Result<Reply, Error> {
    let query = call.query::<FollowInput>()?.parse()?;
    let core = Arc::clone(&call.api.core);
    let (visitor, last_id) = (visitor(&call), stream::last_id(&call));
    Ok(stream::reply(events::follow(&core, &call.caller, query, visitor, last_id).await?))
}

async fn follow_camera(call: Call<'_>) -> Result<Reply, Error> {
    let id = StreamId::parse(&call.id)?;
    let core = Arc::clone(&call.api.core);
    let (visitor, last_id) = (visitor(&call), stream::last_id(&call));
    Ok(stream::reply(events::follow_camera(&core, id.camera(), visitor, last_id).await?))
}
