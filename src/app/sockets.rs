//! The listening sockets that systemd passes to the manager (socket activation). systemd keeps them open
//! while the manager restarts, so that requests wait and are not refused.

use std::io::{Error, ErrorKind};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;

/// The sockets that were passed to this process.
#[derive(Debug, Default)]
pub(super) struct PassedSockets {
    /// The socket that replaces `BIND_ADDR` and `PORT`.
    pub(super) tcp: Option<TcpListener>,
    /// The socket that replaces `BIND_SOCKET`.
    pub(super) unix: Option<UnixListener>,
}

impl PassedSockets {
    /// Takes the sockets that the environment variables `LISTEN_FDS` and `LISTEN_PID` describe, so that
    /// child processes do not inherit them. Fails if a socket is neither a TCP nor a Unix socket, or if there are
    /// several of one kind. Must be called once, before any child process is started.
    pub(super) fn take() -> std::io::Result<Self> {
        let mut passed = ListenFd::from_env();
        let mut sockets = Self::default();
        for index in 0..passed.len() {
            let is_first = if let Ok(Some(unix)) = passed.take_unix_listener(index) {
                unix.set_nonblocking(true)?;
                sockets.unix.replace(unix).is_none()
            } else {
                let tcp = passed.take_tcp_listener(index)?;
                tcp.iter().try_for_each(|tcp| tcp.set_nonblocking(true))?;
                std::mem::replace(&mut sockets.tcp, tcp).is_none()
            };
            if !is_first {
                let reason = "at most one TCP socket and one Unix socket can be passed";
                return Err(Error::new(ErrorKind::InvalidInput, reason));
            }
        }
        Ok(sockets)
    }
}
