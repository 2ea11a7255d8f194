//! The router: finds the row and the caller of each request, limits the time of the request, and
//! records the request in log and metrics.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use hyper::body::Incoming;
use hyper::header::RETRY_AFTER;
use hyper::{Method, Request};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::context::Api;
use super::credentials::{self, Peer};
use super::input::RequestBody;
use super::reply::{self, Reply};
use super::route::{Audience, Call, RouteMatch, Row, Table};
use crate::access::Caller;
use crate::base::error::{Error, ErrorKind};
use crate::camera::networks::Networks;

/// Passes requests to the handlers of their rows.
pub(crate) struct Router {
    api: Api,
    table: Table,
    /// The proxies whose reports of the client's address are trusted.
    proxies: Networks,
}

impl Router {
    /// Creates a router for the rows of `table`, whose handlers use `api`. `proxies` are the proxies whose
    /// reports of the client's address are trusted.
    pub(crate) fn new(api: Api, table: Table, proxies: Networks) -> Self {
        Self { api, table, proxies }
    }

    /// Returns the other end of a connection from this address, which is `None` for a Unix socket.
    pub(super) fn peer(&self, address: Option<IpAddr>) -> Arc<Peer> {
        Arc::new(Peer::new(address, self.proxies.clone()))
    }

    /// Returns the response to one request of `peer`. An error becomes a response with the error.
    pub(super) async fn answer(&self, request: Request<Incoming>, peer: &Peer) -> Reply {
        let began = Instant::now();
        // Only the path is logged, because the query may contain a camera's password.
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let (index, reply) = match self.table.find(&method, &path) {
            RouteMatch::Row { index, row, id } => {
                (Some(index), self.answer_in_time(row, id, request, peer).await)
            }
            RouteMatch::OtherMethods { index, allowed } => {
                (Some(index), reply::method_not_allowed(&method, &allowed))
            }
            RouteMatch::Nothing => {
                let detail = format!("unknown path {path}");
                (None, reply::problem(&Error::new(ErrorKind::NotFound, detail)))
            }
        };
        let took = began.elapsed();
        self.api.metrics.requests.answered(index, &method, reply.status(), took);
        log(&method, &path, &reply, took.as_millis());
        reply
    }

    async fn answer_in_time(
        &self,
        row: &Row,
        id: String,
        request: Request<Incoming>,
        peer: &Peer,
    ) -> Reply {
        let answer = self.answer_caller(row, id, request, peer);
        let answer = timeout(self.api.request_timeout(), answer);
        let too_slow =
            || Err(Error::new(ErrorKind::RequestTimeout, "the request took too long; try again"));
        answer.await.unwrap_or_else(|_| too_slow()).unwrap_or_else(|error| reply::problem(&error))
    }

    async fn answer_caller(
        &self,
        row: &Row,
        id: String,
        request: Request<Incoming>,
        peer: &Peer,
    ) -> Result<Reply, Error> {
        let (head, body) = request.into_parts();
        let caller = match row.audience {
            Audience::Callers(role) => {
                let access = &self.api.core.access;
                access.refuse_other_sites(credentials::is_other_site(&head.headers))?;
                let caller = access.caller(&credentials::shown(&head, peer))?;
                caller.ensure_role(role)?;
                caller
            }
            Audience::Everyone | Audience::Viewers => Caller::anonymous(),
        };
        let (api, table, body) = (&self.api, &self.table, RequestBody::Incoming(body));
        row.handle(Call { api, table, caller, id, head, body, peer }).await
    }
}

/// Logs a request. A status 5xx is logged as a warning. The exceptions are responses with `Retry-After` and
/// responses of `/readyz`, which do not show a fault of the manager, and may be frequent.
fn log(method: &Method, path: &str, reply: &Reply, millis: u128) {
    let status = reply.status().as_u16();
    let is_fault = status >= 500 && !reply.headers().contains_key(RETRY_AFTER);
    if is_fault && !path.ends_with("/readyz") {
        warn!(%method, path, status, millis, "request failed");
    } else {
        debug!(%method, path, status, millis, "request");
    }
}
