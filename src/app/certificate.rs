//! The self-signed certificate for nginx, which the manager creates if `TLS` is `self-signed`.

use std::fs::DirBuilder;
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PublicKeyData as _,
};
use tracing::{error, info};

use crate::base::own_file::{self, ForeignFile, OpenFileError};
use crate::config::TlsNames;

/// The time for which a certificate is valid. Apple's systems refuse certificates that are valid for more than 825
/// days.
const VALIDITY: Duration = Duration::from_hours(24 * 800);
/// The manager renews a certificate that will expire within this time.
const RENEWAL: Duration = Duration::from_hours(24 * 30);
/// A certificate becomes valid this long before its creation, because the clocks of some clients are slow.
const CLOCK_SKEW: Duration = Duration::from_hours(24);
/// The interval at which the manager checks whether it must renew the certificate.
const CHECK_INTERVAL: Duration = Duration::from_hours(1);

/// The beginning of the first line of the certificate's file. The names in the certificate follow.
const NAMES: &str = "names: ";
/// The beginning of the second line. The time of the certificate's renewal follows, in Unix seconds.
const RENEW_AT: &str = "renew at: ";
/// The beginning of the third line. The public key follows, with which the manager checks the key file.
const PUBLIC_KEY: &str = "public key: ";

/// The reason why the manager has no certificate for nginx.
#[derive(Debug, thiserror::Error)]
pub(super) enum CertificateError {
    /// A file or directory cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// One of the files was evidently not created by the manager.
    #[error(transparent)]
    NotOwn(ForeignFile),
    /// The certificate's file contains another program's certificate.
    #[error(
        "the manager did not create {}; move this file away, or remove TLS=self-signed and set TLS_CERT and TLS_KEY \
         to use the file",
        .0.display()
    )]
    Foreign(PathBuf),
    /// The certificate cannot be generated.
    #[error("cannot generate a certificate")]
    Generate(#[from] rcgen::Error),
}

/// The certificate for nginx and its key, in a directory.
#[derive(Clone)]
pub(super) struct OwnCertificate {
    dir: PathBuf,
    names: Vec<String>,
}

impl OwnCertificate {
    /// Describes a certificate for these names in `dir`. If there are no names, the certificate is for this machine.
    pub(super) fn new(dir: &Path, names: &[String]) -> Self {
        let names = if names.is_empty() { names_of_this_machine() } else { names.to_vec() };
        Self { dir: dir.to_owned(), names }
    }

    /// Keeps renewing the certificate before it expires. Never returns.
    pub(super) async fn keep_valid(self) {
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            let certificate = self.clone();
            // The outer result is an error only after a panic, which has already been logged.
            let checked = tokio::task::spawn_blocking(move || certificate.ensure_valid()).await;
            if let Ok(Err(error)) = checked {
                let error = &error as &dyn std::error::Error;
                error!(error, "the certificate for nginx cannot be renewed; retrying in an hour");
            }
        }
    }

    /// Creates the certificate and its key if a file is missing or unusable, if the certificate is for other names,
    /// or if it expires soon.
    pub(super) fn ensure_valid(&self) -> Result<(), CertificateError> {
        self.ensure_valid_at(SystemTime::now())
    }

    fn ensure_valid_at(&self, now: SystemTime) -> Result<(), CertificateError> {
        if self.is_valid(now)? {
            return Ok(());
        }
        self.create(now)?;
        let (dir, names) = (self.dir.display(), self.names.join(" "));
        info!(%dir, names, "created a certificate for nginx");
        Ok(())
    }

    /// Returns whether the certificate is for the names, its key is in the key file, and `now` is too early for a
    /// renewal.
    fn is_valid(&self, now: SystemTime) -> Result<bool, CertificateError> {
        let path = self.dir.join("cert.pem");
        let certificate = read(&path)?;
        if !certificate.is_empty() && !certificate.starts_with(NAMES) {
            return Err(CertificateError::Foreign(path));
        }
        let line = |start| certificate.lines().find_map(|line| line.strip_prefix(start));
        let renew_at = line(RENEW_AT).and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
        let key = KeyPair::from_pem(&read(&self.dir.join("key.pem"))?).ok();
        Ok(line(NAMES) == Some(self.names.join(" ").as_str())
            && unix_seconds(now) < renew_at
            && key.is_some_and(|key| line(PUBLIC_KEY) == Some(public_key(&key).as_str())))
    }

    fn create(&self, now: SystemTime) -> Result<(), CertificateError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(self.names.clone())?;
        params.distinguished_name.push(DnType::CommonName, "stream-manager");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = (now - CLOCK_SKEW).into();
        params.not_after = (now + VALIDITY - CLOCK_SKEW).into();
        let pem = params.self_signed(&key)?.pem();
        // Programs that read PEM ignore the lines before the certificate.
        let names = self.names.join(" ");
        let renew_at = unix_seconds(now + VALIDITY - CLOCK_SKEW - RENEWAL);
        let public_key = public_key(&key);
        let certificate =
            format!("{NAMES}{names}\n{RENEW_AT}{renew_at}\n{PUBLIC_KEY}{public_key}\n{pem}");
        self.write(&certificate, &key.serialize_pem())
    }

    /// Writes both files. The group of the directory can read the key if it can read the directory.
    fn write(&self, certificate: &str, key: &str) -> Result<(), CertificateError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| CertificateError::File { action: "write", path, source }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
            .map_err(failed(&self.dir))?;
        let group = self.dir.metadata().map_err(failed(&self.dir))?.mode() & 0o040;
        for (name, mode, content) in
            [("key.pem", 0o600 | group, key), ("cert.pem", 0o644, certificate)]
        {
            let path = self.dir.join(name);
            own_file::replace(&path, mode, content).map_err(failed(&path))?;
        }
        Ok(())
    }
}

/// Returns the content of a file; an empty string if the file is missing.
fn read(path: &Path) -> Result<String, CertificateError> {
    let failed = |source| CertificateError::File { action: "read", path: path.to_owned(), source };
    let mut content = Vec::new();
    match own_file::open(path) {
        Ok(None) => {}
        Ok(Some(mut file)) => drop(file.read_to_end(&mut content).map_err(failed)?),
        Err(OpenFileError::Foreign(error)) => return Err(CertificateError::NotOwn(error)),
        Err(OpenFileError::Io(error)) => return Err(failed(error)),
    }
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// Returns the names that browsers on this machine and in its network usually use for this machine.
fn names_of_this_machine() -> Vec<String> {
    let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    let host = nix::unistd::gethostname().unwrap_or_default();
    let host = host.to_string_lossy().to_ascii_lowercase();
    if host != "localhost" {
        let own = format!("{host} {host}.local").parse::<TlsNames>();
        names.extend(own.map(|own| own.0).unwrap_or_default());
    }
    names
}

fn public_key(key: &KeyPair) -> String {
    STANDARD.encode(key.der_bytes())
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A directory for a certificate.
    struct Fixture(tempfile::TempDir);

    impl Fixture {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("a directory"))
        }

        fn certificate(&self, names: &[&str]) -> OwnCertificate {
            let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
            OwnCertificate::new(&self.0.path().join("tls"), &names)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join("tls").join(name)
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.path(name)).expect("a file")
        }

        fn mode(&self, name: &str) -> u32 {
            self.path(name).metadata().expect("a file").permissions().mode() & 0o777
        }
    }

    #[test]
    fn a_certificate_is_replaced_only_shortly_before_it_expires_or_for_other_names() {
        let fixture = Fixture::new();
        let certificate = fixture.certificate(&["cameras.lan", "192.168.1.10"]);
        let now = SystemTime::now();
        certificate.ensure_valid_at(now).expect("a certificate");
        let first = fixture.read("cert.pem");
        let last_second = now + VALIDITY - CLOCK_SKEW - RENEWAL - Duration::from_secs(1);
        certificate.ensure_valid_at(last_second).expect("the same certificate");
        assert_eq!(fixture.read("cert.pem"), first);

        certificate.ensure_valid_at(last_second + Duration::from_secs(1)).expect("another one");
        let second = fixture.read("cert.pem");
        assert_ne!(second, first);
        fixture.certificate(&["cameras.lan"]).ensure_valid_at(last_second).expect("a third one");
        assert_ne!(fixture.read("cert.pem"), second);
    }

    #[test]
    fn a_certificate_without_its_key_is_replaced() {
        let fixture = Fixture::new();
        let certificate = fixture.certificate(&["cameras.lan"]);
        certificate.ensure_valid().expect("a certificate");
        let other_key = KeyPair::generate().expect("a key").serialize_pem();
        for content in [None, Some(""), Some("not a key"), Some(&other_key)] {
            let first = fixture.read("cert.pem");
            match content {
                Some(content) => fs::write(fixture.path("key.pem"), content),
                None => fs::remove_file(fixture.path("key.pem")),
            }
            .expect("a changed key");
            certificate.ensure_valid().expect("another certificate");
            assert_ne!(fixture.read("cert.pem"), first, "{content:?}");
        }
    }

    #[test]
    fn the_group_can_read_the_key_only_if_it_can_read_the_directory() {
        let fixture = Fixture::new();
        let certificate = fixture.certificate(&["cameras.lan"]);
        certificate.ensure_valid().expect("a certificate");
        assert_eq!((fixture.mode(""), fixture.mode("key.pem")), (0o700, 0o600));
        fs::set_permissions(fixture.path(""), fs::Permissions::from_mode(0o750)).expect("a mode");
        fs::remove_file(fixture.path("cert.pem")).expect("no certificate");
        certificate.ensure_valid().expect("another certificate");
        assert_eq!(fixture.mode("key.pem"), 0o640);
    }

    #[test]
    fn a_certificate_of_another_program_is_not_replaced() {
        let fixture = Fixture::new();
        fs::create_dir(fixture.path("")).expect("a directory");
        fs::write(fixture.path("cert.pem"), "-----BEGIN CERTIFICATE-----").expect("a file");
        let refused = fixture.certificate(&[]).ensure_valid().expect_err("a foreign file");
        assert!(refused.to_string().contains("TLS_CERT"), "{refused}");
        assert_eq!(fixture.read("cert.pem"), "-----BEGIN CERTIFICATE-----");
    }

    #[tokio::test(start_paused = true)]
    async fn a_running_manager_renews_the_certificate() {
        let fixture = Fixture::new();
        let certificate = fixture.certificate(&["cameras.lan"]);
        let long_ago = SystemTime::now() - VALIDITY + RENEWAL;
        certificate.ensure_valid_at(long_ago).expect("a certificate");
        let first = fixture.read("cert.pem");
        let renewal = tokio::spawn(certificate.keep_valid());
        tokio::time::timeout(2 * CHECK_INTERVAL, async {
            while fixture.read("cert.pem") == first {
                tokio::time::sleep(CHECK_INTERVAL / 4).await;
            }
        })
        .await
        .expect("another certificate");
        renewal.abort();
    }

    #[test]
    fn without_names_the_certificate_is_for_this_machine() {
        let names = OwnCertificate::new(Path::new("."), &[]).names;
        assert_eq!(names[..3], ["localhost", "127.0.0.1", "::1"]);
    }
}
