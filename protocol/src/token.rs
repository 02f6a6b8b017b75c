//! A secret that proves itself without being told.
//!
//! **The problem.** A server on another machine says "I am server 4, give me work". Anybody could. A password would
//! tell friend from stranger, but a password that is sent can be read on the way, and is then everybody's.
//!
//! **The idea: a challenge.** Both sides hold the same *token*, a file that a person has copied. One side sends a
//! *nonce*, a number used once; the other answers with HMAC-SHA256(token, what it claims and that nonce). Only who
//! knows the token can make that answer, and whoever listens learns nothing for the next time, because the next
//! nonce is another one.
//!
//! Three details decide whether it holds:
//!
//! * *The claim is under the proof.* An answer proves "somebody who knows the token says: server 4, at 10.0.0.5:6001",
//!   not merely "I know the token"; otherwise a listener could put his own address beside a proof of somebody else.
//! * *Roles have labels.* Each proof begins with words that say who speaks ([`Role`]). Without them a stranger could
//!   send a challenge back to the one who made it and return the answer (a *reflection*): of each protocol in which
//!   both sides compute the same thing, that is the first attack to try.
//! * *Lengths are part of the text.* `ab` + `c` and `a` + `bc` are two claims, and must not give one proof.
//!
//! **An example.** What is proved is a text that a person can read, a line for each part, its length before it:
//!
//! ```text
//! 18:labp1 control port
//! 32:00112233445566778899aabbccddeeff
//! 1:4
//! 13:10.0.0.5:6001
//! …
//! ```
//!
//! `openssl dgst -sha256 -hmac "$(cat token)"` over these lines gives the same 64 digits as [`Token::prove`].
//!
//! **When it is wrong.** A proof says who begins a conversation, not who carries it on: without encryption whoever sits
//! on the path can take over the connection afterwards, and reads everything. A token that can be guessed is guessed
//! at leisure by whoever has seen one proof; hence [`MIN_TOKEN`], and hence a token should be drawn, not thought of:
//! `head -c 32 /dev/urandom | base64 > token`. Whoever has the token is everybody who has it: it tells no two servers
//! apart.
//!
//! **What production systems do.** Mutual TLS with a certificate for each machine, or a protocol such as SPAKE2 where
//! only a password is there. Sources: RFC 2104 (HMAC); Bird and others, *Systematic Design of Two-Party Authentication
//! Protocols* (1991), for the reflections that labels prevent.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::{
    fmt::{self, Write as _},
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Shortest token, in bytes. A shorter one could be found by trying; it is refused.
pub const MIN_TOKEN: usize = 16;

/// Longest file of a token that is read, in bytes. A longer one is certainly something else.
const MAX_TOKEN_FILE: u64 = 4 * 1024;

/// Bytes of a nonce: so many that no two are ever the same.
const NONCE_BYTES: usize = 16;

/// Length of a proof in hexadecimal digits.
const PROOF_DIGITS: usize = 64;

/// Who speaks, and where: the first line of what is proved. A proof of one role is none of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A server asks to join.
    JoiningServer,
    /// The load balancer answers a server that asked to join.
    JoinedBalancer,
    /// A server says on its control port who it is.
    ControlPort,
}

impl Role {
    fn label(self) -> &'static str {
        match self {
            Self::JoiningServer => "labp1 server that joins",
            Self::JoinedBalancer => "labp1 load balancer",
            Self::ControlPort => "labp1 control port",
        }
    }
}

/// The secret. Never printed, and never sent where somebody could listen ([`Token::reveal`]).
#[derive(Clone)]
pub struct Token(Vec<u8>);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("The token cannot be read from {path}: {source}.")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{path} is longer than 4 KiB, which no token is. Draw one: head -c 32 /dev/urandom | base64 > {path}")]
    Long {
        /// The file.
        path: String,
    },
    /// The token is too short to be a secret.
    #[error(
        "The token in {path} has {len} bytes, and could be guessed; {MIN_TOKEN} are the least. \
         Draw one: head -c 32 /dev/urandom | base64 > {path}"
    )]
    Short {
        /// The file.
        path: String,
        /// Its length without the blank space around it.
        len: usize,
    },
    /// Everybody on this machine can read it.
    #[error("Everybody on this machine may read or change the token in {path}: chmod 600 {path}")]
    Open {
        /// The file.
        path: String,
    },
}

impl Token {
    /// Reads the token from a file, without the blank space around it.
    ///
    /// # Errors
    /// If it cannot be read, is too short, or (on Unix) everybody may read or change it.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let shown = || path.display().to_string();
        let unreadable = |source| TokenError::Unreadable { path: shown(), source };
        let is_file = std::fs::metadata(path).map_err(unreadable)?.is_file();
        if !is_file {
            return Err(unreadable(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")));
        }
        let file = File::open(path).map_err(unreadable)?;
        if is_open_to_all(&file).map_err(unreadable)? {
            return Err(TokenError::Open { path: shown() });
        }
        let mut bytes = Vec::new();
        file.take(MAX_TOKEN_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_TOKEN_FILE {
            return Err(TokenError::Long { path: shown() });
        }
        Self::new(bytes.trim_ascii()).map_err(|len| TokenError::Short { path: shown(), len })
    }

    /// The token of these bytes.
    ///
    /// # Errors
    /// Their number, if they are too few.
    pub fn new(bytes: &[u8]) -> Result<Self, usize> {
        if bytes.len() < MIN_TOKEN { Err(bytes.len()) } else { Ok(Self(bytes.to_vec())) }
    }

    /// Proves that who knows this token says this, in this role: 64 hexadecimal digits.
    #[must_use]
    pub fn prove(&self, role: Role, parts: &[&str]) -> String {
        hex(&self.mac(role, parts).finalize().into_bytes())
    }

    /// Whether this is the proof, found out in a time that does not depend on where it differs.
    #[must_use]
    pub fn is_proof(&self, proof: &str, role: Role, parts: &[&str]) -> bool {
        bytes_of(proof).is_some_and(|bytes| self.mac(role, parts).verify_slice(&bytes).is_ok())
    }

    /// Whether this is the token itself, found out in a time that does not depend on where it differs: both are brought to
    /// the same length by HMAC under the token, and those are compared.
    #[must_use]
    pub fn is(&self, given: &[u8]) -> bool {
        let keyed = || Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        let given = keyed().chain_update(given).finalize().into_bytes();
        keyed().chain_update(&self.0).verify_slice(&given).is_ok()
    }

    /// The token itself, for where it is sent after all: to the administration, which takes changes from its own machine
    /// only.
    #[must_use]
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }

    fn mac(&self, role: Role, parts: &[&str]) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.chain_update(said(role, parts))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(secret)")
    }
}

/// What is proved, as a text: each part on a line of its own, after its length in bytes.
#[must_use]
pub fn said(role: Role, parts: &[&str]) -> String {
    let mut text = String::new();
    for part in std::iter::once(&role.label()).chain(parts) {
        // Writing into memory cannot fail.
        let _written = writeln!(text, "{}:{part}", part.len());
    }
    text
}

/// A number used once, that nobody can foresee: 32 hexadecimal digits from the system's source of randomness. Whoever
/// could foresee it would have it answered in advance.
///
/// # Errors
/// If the system gives no random bytes.
pub fn draw_nonce() -> io::Result<String> {
    let mut bytes = [0; NONCE_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(hex(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _written = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes of a proof; `None` for any text that is none.
fn bytes_of(proof: &str) -> Option<[u8; PROOF_DIGITS / 2]> {
    let digits = proof.as_bytes();
    if digits.len() != PROOF_DIGITS || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; PROOF_DIGITS / 2];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// Whether others than the owner and the group may read or change the file.
#[cfg(unix)]
fn is_open_to_all(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    const OTHERS_READ_OR_WRITE: u32 = 0o006;
    Ok(file.metadata()?.mode() & OTHERS_READ_OR_WRITE != 0)
}

#[cfg(not(unix))]
fn is_open_to_all(_file: &File) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token::new(b"correct horse battery staple").unwrap()
    }

    #[test]
    fn the_proof_is_hmac_sha256_of_the_text() {
        // Computed with: printf '18:labp1 control port\n1:4\n' | openssl dgst -sha256 -hmac 'correct horse battery staple'
        let proof = "310352fb9d3a409626fb49eaf27772a62156a7b183b7ccf06a6a1afda0525835";
        assert_eq!(said(Role::ControlPort, &["4"]), "18:labp1 control port\n1:4\n");
        assert_eq!(token().prove(Role::ControlPort, &["4"]), proof);
        assert!(token().is_proof(proof, Role::ControlPort, &["4"]));
    }

    #[test]
    fn another_token_role_or_claim_has_another_proof() {
        let proof = token().prove(Role::JoiningServer, &["ab", "c"]);
        assert!(token().is_proof(&proof, Role::JoiningServer, &["ab", "c"]));
        assert!(!Token::new(b"correct horse battery stable").unwrap().is_proof(
            &proof,
            Role::JoiningServer,
            &["ab", "c"]
        ));
        for role in [Role::JoinedBalancer, Role::ControlPort] {
            assert!(!token().is_proof(&proof, role, &["ab", "c"]), "a reflection in the role {role:?}");
        }
        for parts in [&["a", "bc"][..], &["ab", "c", ""], &["abc"], &["ab\n1:c"], &[]] {
            assert!(!token().is_proof(&proof, Role::JoiningServer, parts), "{parts:?}");
        }
    }

    #[test]
    fn what_is_no_proof_is_refused_without_a_panic() {
        let proof = token().prove(Role::ControlPort, &[]);
        let cut = (0..PROOF_DIGITS).map(|len| proof[..len].to_owned());
        let odd = [proof.replace(|_| true, "g"), format!("{proof}00"), "é".repeat(32), format!("+{}", &proof[1..])];
        for wrong in cut.chain(odd) {
            assert!(!token().is_proof(&wrong, Role::ControlPort, &[]), "{wrong}");
        }
    }

    #[test]
    fn only_the_token_is_the_token() {
        let right = b"correct horse battery staple";
        assert!(token().is(right));
        let cut = (0..right.len()).map(|len| right[..len].to_vec());
        let near = [&right[..], b"\0"].concat();
        assert!(cut.chain([near, b"correct horse battery stable".to_vec()]).all(|wrong| !token().is(&wrong)));
    }

    #[test]
    fn nonces_are_new_each_time() {
        let (one, two) = (draw_nonce().unwrap(), draw_nonce().unwrap());
        assert!(one.len() == 32 && one != two, "{one} {two}");
    }

    #[test]
    fn a_token_is_not_printed() {
        assert_eq!(format!("{:?}", token()), "Token(secret)");
    }

    #[cfg(unix)]
    #[test]
    fn a_token_is_read_from_a_file_that_is_not_everybodys() {
        use std::{fs, os::unix::fs::PermissionsExt};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let write = |content: &[u8], mode: u32| {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            Token::read(&path)
        };
        assert!(matches!(Token::read(&path), Err(TokenError::Unreadable { .. })));
        assert_eq!(write(b"  0123456789abcdef\n", 0o600).unwrap().0, b"0123456789abcdef");
        assert!(write(b"0123456789abcdef", 0o640).is_ok());
        assert!(matches!(write(b"0123456789abcdef", 0o644), Err(TokenError::Open { .. })));
        assert!(matches!(write(b" 0123456789abcde\n", 0o600), Err(TokenError::Short { len: 15, .. })));
        assert!(matches!(write(b"", 0o600), Err(TokenError::Short { len: 0, .. })));
        assert!(matches!(write(&[b'x'; 5_000], 0o600), Err(TokenError::Long { .. })));
        assert!(matches!(Token::read(folder.path()), Err(TokenError::Unreadable { .. })));
    }
}
