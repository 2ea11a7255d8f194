//! Which path and method is which request: one table.

use std::sync::LazyLock;

use hyper::Method;
use matchit::Router;

use crate::access::keys::Role;

/// A request by what it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Start or join a stream.
    StreamStart,
    /// Stop a stream.
    StreamStop,
    /// State of one stream.
    StreamStatus,
    /// State of all streams.
    Streams,
    /// What a stream's FFmpegs said last, of the camera with this id (unchecked).
    StreamLog(String),
    /// A page of the cameras, or a new one.
    Cameras,
    /// A camera to be tested.
    CameraTest,
    /// One camera (its id unchecked): read, replaced or deleted.
    Camera(String),
    /// Start or join a camera's stream.
    CameraStart(String),
    /// Stop a camera's stream.
    CameraStop(String),
    /// State of a camera's stream.
    CameraStatus(String),
    /// All cameras, out or in.
    CamerasFile,
    /// The playback sessions, or a new one.
    Sessions,
    /// One playback session (its id unchecked), to end it.
    Session(String),
    /// The vendors' presets.
    Vendors,
    /// Who asks, and as what.
    Caller,
    /// Cameras on the network.
    Discovery,
    /// Health for the back end.
    Health,
    /// The process answers.
    Livez,
    /// The service can do its work.
    Readyz,
    /// What the API is, for programs.
    Document,
    /// What is counted, for a Prometheus.
    Metrics,
    /// nginx asks whether a viewer may have a file.
    Viewer,
    /// A playlist, of the camera with this id (unchecked).
    Playlist(String),
    /// The multivariant playlist beside it.
    Index(String),
}

struct Entry {
    path: &'static str,
    methods: &'static [Method],
    needs: Needs,
    route: fn(&matchit::Params) -> Route,
}

/// What a caller has to be, by method. What else the answer depends on, such as whose camera it is,
/// the requests themselves look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: for orchestrators, which have no keys, and for media, which asks by itself.
    Nothing,
    /// The role, with whatever method.
    Role(Role),
    /// The first role to read, the second to change.
    Roles(Role, Role),
}

impl Needs {
    /// The role that a caller with `method` needs.
    pub fn role(self, method: &Method) -> Option<Role> {
        let is_reading = matches!(*method, Method::GET | Method::HEAD);
        match self {
            Self::Nothing => None,
            Self::Role(role) => Some(role),
            Self::Roles(read, change) => Some(if is_reading { read } else { change }),
        }
    }
}

const GET: &[Method] = &[Method::GET, Method::HEAD];
const POST: &[Method] = &[Method::POST];
const GET_OR_POST: &[Method] = &[Method::GET, Method::POST];

const WATCH: Needs = Needs::Role(Role::Viewer);
const USE: Needs = Needs::Role(Role::User);
const WATCH_OR_USE: Needs = Needs::Roles(Role::Viewer, Role::User);
const ADMIN: Needs = Needs::Role(Role::Admin);

/// A camera may have this id nevertheless: it is found with all other methods.
const TEST: &str = "/api/cameras/test";
const CAMERA: &str = "/api/cameras/{id}";

const ROUTES: &[Entry] = &[
    // GET starts a stream because existing back ends ask that way. No HEAD: it would start one too.
    Entry {
        path: "/api/stream/start",
        methods: GET_OR_POST,
        needs: WATCH,
        route: |_| Route::StreamStart,
    },
    Entry { path: "/api/stream/stop", methods: POST, needs: USE, route: |_| Route::StreamStop },
    Entry {
        path: "/api/stream/status",
        methods: GET,
        needs: WATCH,
        route: |_| Route::StreamStatus,
    },
    Entry { path: "/api/streams", methods: GET, needs: WATCH, route: |_| Route::Streams },
    Entry {
        path: "/api/streams/{id}/log",
        methods: GET,
        needs: WATCH,
        route: |params| Route::StreamLog(id(params)),
    },
    Entry {
        path: "/api/cameras",
        methods: GET_OR_POST,
        needs: WATCH_OR_USE,
        route: |_| Route::Cameras,
    },
    Entry {
        path: CAMERA,
        methods: &[Method::GET, Method::PUT, Method::DELETE],
        needs: WATCH_OR_USE,
        route: |params| Route::Camera(id(params)),
    },
    Entry { path: TEST, methods: POST, needs: USE, route: |_| Route::CameraTest },
    Entry {
        path: "/api/cameras/{id}/stream/start",
        methods: POST,
        needs: WATCH,
        route: |params| Route::CameraStart(id(params)),
    },
    Entry {
        path: "/api/cameras/{id}/stream/stop",
        methods: POST,
        needs: USE,
        route: |params| Route::CameraStop(id(params)),
    },
    Entry {
        path: "/api/cameras/{id}/stream/status",
        methods: GET,
        needs: WATCH,
        route: |params| Route::CameraStatus(id(params)),
    },
    Entry {
        path: "/api/cameras.json",
        methods: &[Method::GET, Method::PUT],
        needs: ADMIN,
        route: |_| Route::CamerasFile,
    },
    Entry {
        path: "/api/playback/sessions",
        methods: GET_OR_POST,
        needs: WATCH,
        route: |_| Route::Sessions,
    },
    Entry {
        path: "/api/playback/sessions/{id}",
        methods: &[Method::DELETE],
        needs: WATCH,
        route: |params| Route::Session(id(params)),
    },
    Entry { path: "/api/vendors", methods: GET, needs: WATCH, route: |_| Route::Vendors },
    Entry { path: "/api/caller", methods: GET, needs: WATCH, route: |_| Route::Caller },
    Entry { path: "/api/discovery", methods: POST, needs: USE, route: |_| Route::Discovery },
    Entry { path: "/api/health", methods: GET, needs: Needs::Nothing, route: |_| Route::Health },
    Entry {
        path: "/api/openapi.json",
        methods: GET,
        needs: Needs::Nothing,
        route: |_| Route::Document,
    },
    // Of roles that see all cameras; the request itself refuses the one that does not.
    Entry { path: "/metrics", methods: GET, needs: WATCH, route: |_| Route::Metrics },
    Entry { path: "/livez", methods: GET, needs: Needs::Nothing, route: |_| Route::Livez },
    Entry { path: "/readyz", methods: GET, needs: Needs::Nothing, route: |_| Route::Readyz },
    Entry {
        path: "/internal/viewer",
        methods: GET,
        needs: Needs::Nothing,
        route: |_| Route::Viewer,
    },
    Entry {
        path: "/streams/{id}/stream.m3u8",
        methods: GET,
        needs: Needs::Nothing,
        route: |params| Route::Playlist(id(params)),
    },
    Entry {
        path: "/streams/{id}/index.m3u8",
        methods: GET,
        needs: Needs::Nothing,
        route: |params| Route::Index(id(params)),
    },
];

fn id(params: &matchit::Params) -> String {
    params.get("id").unwrap_or_default().to_owned()
}

/// Rows of the table by path.
static ROUTER: LazyLock<Router<usize>> = LazyLock::new(|| {
    let mut router = Router::new();
    for (row, entry) in ROUTES.iter().enumerate() {
        #[expect(clippy::expect_used, reason = "a table that contradicts itself fails every test")]
        router.insert(entry.path, row).expect("paths that do not conflict");
    }
    router
});

/// The row of [`table`] that a path belongs to.
pub fn row(method: &Method, path: &str) -> Option<usize> {
    let row = *ROUTER.at(path).ok()?.value;
    let is_camera = ROUTES[row].path == TEST && !ROUTES[row].methods.contains(method);
    if is_camera { ROUTES.iter().position(|other| other.path == CAMERA) } else { Some(row) }
}

/// Whether requests for this path of the table may wait for a camera.
pub fn waits(path: &str) -> bool {
    path.starts_with("/streams/")
        || path.ends_with("/start")
        || path.ends_with("/stop")
        || [TEST, "/api/discovery"].contains(&path)
}

/// Every path with its methods, and what their callers have to be.
pub fn table() -> impl Iterator<Item = (&'static str, &'static [Method], Needs)> {
    ROUTES.iter().map(|entry| (entry.path, entry.methods, entry.needs))
}

/// Why a request is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmatched {
    /// There is nothing at the path.
    Path,
    /// The path takes these methods only.
    Method(&'static [Method]),
}

/// Finds out what a request is, and what its caller has to be.
pub fn find(method: &Method, path: &str) -> Result<(Route, Needs), Unmatched> {
    let found = ROUTER.at(path).map_err(|_| Unmatched::Path)?;
    let entry = &ROUTES[*found.value];
    if entry.path == TEST && !entry.methods.contains(method) {
        let camera = ROUTES.iter().find(|other| other.path == CAMERA).unwrap_or(entry);
        let needs = allowed(camera, method).map_err(|_| Unmatched::Method(entry.methods))?;
        return Ok((Route::Camera("test".to_owned()), needs));
    }
    allowed(entry, method).map(|needs| ((entry.route)(&found.params), needs))
}

fn allowed(entry: &Entry, method: &Method) -> Result<Needs, Unmatched> {
    let is_allowed = entry.methods.contains(method);
    is_allowed.then_some(entry.needs).ok_or(Unmatched::Method(entry.methods))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_methods() {
        let table = [
            (Method::GET, "/api/stream/start", Ok(Route::StreamStart)),
            (Method::POST, "/api/stream/start", Ok(Route::StreamStart)),
            (Method::HEAD, "/api/stream/start", Err(Unmatched::Method(GET_OR_POST))),
            (Method::GET, "/api/stream/stop", Err(Unmatched::Method(POST))),
            (Method::DELETE, "/api/streams", Err(Unmatched::Method(GET))),
            (Method::HEAD, "/livez", Ok(Route::Livez)),
            (Method::GET, "/streams/7/stream.m3u8", Ok(Route::Playlist("7".into()))),
            (Method::GET, "/streams/7/index.m3u8", Ok(Route::Index("7".into()))),
            (Method::POST, "/api/cameras/test", Ok(Route::CameraTest)),
            (Method::PUT, "/api/cameras/test", Ok(Route::Camera("test".into()))),
            (Method::GET, "/api/cameras/test", Ok(Route::Camera("test".into()))),
            (Method::POST, "/api/cameras/test/stream/start", Ok(Route::CameraStart("test".into()))),
            (Method::GET, "/streams/7/8/stream.m3u8", Err(Unmatched::Path)),
            (Method::GET, "/streams/7/1.m4s", Err(Unmatched::Path)),
            (Method::GET, "/", Err(Unmatched::Path)),
            (Method::GET, "", Err(Unmatched::Path)),
            (Method::GET, "/api/streams/", Err(Unmatched::Path)),
        ];
        for (method, path, expected) in table {
            let found = find(&method, path).map(|(route, _)| route);
            assert_eq!(found, expected, "{method} {path}");
        }
    }

    #[test]
    fn the_reference_lists_every_path() {
        let page = include_str!("../../docs/reference/api.md");
        // What nginx alone requests is not for callers.
        for entry in ROUTES.iter().filter(|entry| entry.path != "/internal/viewer") {
            assert!(
                page.contains(&format!("`{}`", entry.path)),
                "docs/reference/api.md misses {}",
                entry.path
            );
        }
    }
}
