//! Runs the `openssl` command, and creates key pairs for back ends that sign playback tokens
//! themselves.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs openssl and returns what it writes to stdout.
pub(crate) fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).stderr(Stdio::null()).output();
    let output = output.expect("openssl; install it with: apt-get install openssl");
    assert!(output.status.success(), "openssl {arguments:?} failed");
    output.stdout
}

/// Creates a key pair (`ed25519` or `rsa`) and returns the paths of the PEM files: private
/// key, public key.
pub(crate) fn key_pair(dir: &Path, algorithm: &str) -> (PathBuf, PathBuf) {
    let (private, public) = (dir.join("private.pem"), dir.join("public.pem"));
    let (private_path, public_path) =
        (private.to_str().expect("a path"), public.to_str().expect("a path"));
    openssl(&["genpkey", "-algorithm", algorithm, "-out", private_path]);
    openssl(&["pkey", "-in", private_path, "-pubout", "-out", public_path]);
    (private, public)
}
