//! Push notifications: the key for browsers, and subscriptions.

use std::future;

use hyper::{Method, StatusCode};

use super::failures;
use super::operation::Operation;
use super::reply::{self, Reply};
use super::route::{Audience, Call, Row};
use crate::access::role::Role;
use crate::base::error::{Error, ErrorKind};
use crate::push::subscriptions::Effect;
use crate::service::push;
use wire::{
    PushKeyOutput, PushSubscriptionInput, PushSubscriptionOutput, PushSubscriptionsInput,
    PushSubscriptionsOutput,
};

pub(crate) mod wire;

const VIEWERS: Audience = Audience::Callers(Role::Viewer);
const SUBSCRIPTIONS: &str = "/api/push/subscriptions";
const SUBSCRIPTION: &str = "/api/push/subscriptions/{id}";

/// The endpoints.
pub(super) fn routes() -> Vec<Row> {
    vec![
        Row::new(
            Method::GET,
            "/api/push/key",
            VIEWERS,
            |call| Box::pin(future::ready(Ok(key(&call)))),
            || {
                operation("getPushKey", "Returns the public key with which browsers subscribe")
                    .returns::<PushKeyOutput>("The key.")
            },
        ),
        Row::new(
            Method::GET,
            SUBSCRIPTIONS,
            VIEWERS,
            |call| Box::pin(future::ready(list(&call))),
            || {
                operation(
                    "listPushSubscriptions",
                    "Returns the push subscriptions that the caller can see",
                )
                .describe(
                    "Callers see the subscriptions that their API key has made, admins see all.",
                )
                .query::<PushSubscriptionsInput>()
                .returns::<PushSubscriptionsOutput>("The subscriptions, the newest first.")
                .fails(failures::QUERY)
            },
        ),
        Row::new(
            Method::POST,
            SUBSCRIPTIONS,
            VIEWERS,
            |call| Box::pin(subscribe(call)),
            || {
                operation("subscribePush", "Adds a push subscription, or replaces that of the same browser")
                    .describe(
                        "The body has the fields of the browser's `PushSubscription`, and the events that the subscriber wants to \
                         get. The subscription ends when it is deleted, when the API key is removed or permits less than before, \
                         when the push server reports that it does not exist any more, or 90 days after the page was last open \
                         in the browser.",
                    )
                    .takes::<PushSubscriptionInput>()
                    .creates::<PushSubscriptionOutput>("The subscription was added.", None)
                    .returns::<PushSubscriptionOutput>("The subscription of the browser was replaced.")
                    .fails(failures::CAMERA)
                    .fails(failures::DATABASE)
                    .fails(&[ErrorKind::PushForbidden, ErrorKind::TooManySubscriptions])
            },
        ),
        Row::new(
            Method::GET,
            SUBSCRIPTION,
            VIEWERS,
            |call| Box::pin(open(call)),
            || {
                of_subscription("openPushSubscription", "Returns a push subscription, and notes that the page is open")
                    .describe(
                        "A page sends this request when it is opened in the browser of the subscription, so that the \
                         subscription does not end. Only the API key that made the subscription prolongs it in this way. If \
                         the response is 404, the page unsubscribes in the browser.",
                    )
                    .returns::<PushSubscriptionOutput>("The subscription.")
            },
        ),
        Row::new(
            Method::DELETE,
            SUBSCRIPTION,
            VIEWERS,
            |call| Box::pin(unsubscribe(call)),
            || {
                of_subscription("unsubscribePush", "Deletes a push subscription")
                    .returns_nothing("The browser gets no further notifications.")
            },
        ),
        Row::new(
            Method::POST,
            "/api/push/subscriptions/{id}/test",
            VIEWERS,
            |call| Box::pin(test(call)),
            || {
                of_subscription("testPush", "Sends a test notification")
                    .describe("Quiet hours and the limit for each minute do not apply.")
                    .returns_nothing("The push server has accepted the notification.")
                    .fails(&[ErrorKind::PushFailed, ErrorKind::Busy])
            },
        ),
    ]
}

fn operation(id: &'static str, summary: &'static str) -> Operation {
    Operation::new("push", id, summary)
}

fn of_subscription(id: &'static str, summary: &'static str) -> Operation {
    operation(id, summary)
        .of(None, "The subscription's id.")
        .fails(&[ErrorKind::UnknownSubscription])
        .fails(failures::DATABASE)
}

fn key(call: &Call<'_>) -> Reply {
    let push = &call.api.core.push;
    reply::json(&PushKeyOutput { public_key: push.public_key(), has_contact: push.has_contact() })
}

fn list(call: &Call<'_>) -> Result<Reply, Error> {
    let input: PushSubscriptionsInput = call.query()?;
    let listed = push::list(&call.api.core, &call.caller, input.user());
    Ok(reply::json(&PushSubscriptionsOutput::new(&listed)))
}

async fn subscribe(mut call: Call<'_>) -> Result<Reply, Error> {
    let new = call.input::<PushSubscriptionInput>().await?.parse()?;
    let (subscription, effect) = push::subscribe(&call.api.core, &call.caller, new).await?;
    let mut reply = reply::json(&PushSubscriptionOutput::new(&subscription));
    if effect == Effect::Added {
        *reply.status_mut() = StatusCode::CREATED;
    }
    Ok(reply)
}

async fn open(call: Call<'_>) -> Result<Reply, Error> {
    let opened = push::open(&call.api.core, &call.caller, &call.id).await?;
    Ok(reply::json(&PushSubscriptionOutput::new(&opened)))
}

async fn unsubscribe(call: Call<'_>) -> Result<Reply, Error> {
    push::unsubscribe(&call.api.core, &call.caller, &call.id).await?;
    Ok(reply::no_content())
}

async fn test(call: Call<'_>) -> Result<Reply, Error> {
    push::test(&call.api.core, &call.caller, &call.id).await?;
    Ok(reply::no_content())
}
