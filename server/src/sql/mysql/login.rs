//! Logging in to MySQL and MariaDB: TLS if it is asked for; then by scrambled passwords (`mysql_native_password`, `caching_sha2_password`).
//!
//! Neither sends the password. But `caching_sha2_password`, MySQL's own since version 8, does so once after the server
//! was started, for whom the server does not remember: through TLS, or else encrypted with a key that the server shows (RSA). Whoever can change
//! what is sent on the way can show another key; who only listens learns nothing. A server that asks for the password in clear is refused.
//!
//! Source: <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html>.

use super::{
    packet::{self, Packet},
    refusal::Refused,
    session::Session,
    strange,
};
use crate::sql::{
    SqlError, Watch,
    remote::{MAX_MESSAGE, Trouble},
};
use mysql_common::{
    auth::plugins::{AuthProc, ChallengeResponsePlugin, Context},
    constants::CapabilityFlags,
    packets::{AuthPlugin, AuthSwitchRequest, HandshakePacket, HandshakeResponse, SslRequest},
    proto::MySerialize,
};
use protocol::database::{Account, Tls};

/// What we can do. Not among it: several statements in one text, and files of this machine on demand (LOCAL INFILE).
const CAPABILITIES: CapabilityFlags = CapabilityFlags::CLIENT_LONG_PASSWORD
    .union(CapabilityFlags::CLIENT_LONG_FLAG)
    .union(CapabilityFlags::CLIENT_PROTOCOL_41)
    .union(CapabilityFlags::CLIENT_TRANSACTIONS)
    .union(CapabilityFlags::CLIENT_SECURE_CONNECTION)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH)
    // An UPDATE counts the rows that it has found, as with the other engines, also when they were so already.
    .union(CapabilityFlags::CLIENT_FOUND_ROWS)
    // A procedure returns rows.
    .union(CapabilityFlags::CLIENT_MULTI_RESULTS);

/// Longest packet that we take and send, in bytes.
const MAX_PACKET: u32 = MAX_MESSAGE as u32;

/// The number of a character set in which a name of an account may have any letter.
const UTF8: u8 = 45;

/// For the library: a version that knows all of Unicode, as every one does that is in use.
const UNICODE: (u16, u16, u16) = (5, 5, 5);

/// What a way of logging in may know.
struct Secret<'a> {
    password: &'a [u8],
    scramble: &'a [u8],
    /// Whether nobody listens.
    encrypted: bool,
}

impl Context for &Secret<'_> {
    fn pass(&self) -> &[u8] {
        self.password
    }

    fn is_ipc_transport(&self) -> bool {
        false
    }

    fn is_tls_transport(&self) -> bool {
        self.encrypted
    }

    fn scramble(&self) -> &[u8] {
        self.scramble
    }

    fn server_key_pem(&self) -> Option<&[u8]> {
        None
    }
}

/// Logs in, into this database or none, and returns the number of the session.
pub(super) fn log_in(
    session: &mut Session,
    account: &Account,
    database: Option<&str>,
    watch: &dyn Watch,
) -> Result<u32, Trouble> {
    let hello = next(session, watch)?;
    let hello: HandshakePacket<'_> = packet::read(&hello.body, ()).map_err(strange)?;
    let encrypted = account.tls != Tls::Disable;
    let capabilities = capabilities(encrypted, database.is_some());
    if encrypted {
        secure(session, &hello, capabilities, watch)?;
    }
    let password = account.password.reveal().as_bytes();
    let mut scramble = hello.nonce();
    let name = hello.auth_plugin_name_ref().unwrap_or_default().to_vec();
    // Which one the account has is told after its name; this is the server's guess.
    let mut plugin = AuthPlugin::from_bytes(&name).into_owned();
    if known(&plugin).is_err() {
        plugin = AuthPlugin::MysqlNativePassword;
    }
    let mut way = known(&plugin)?;
    let secret = Secret { password, scramble: &scramble, encrypted };
    let proof = way.run(&secret, &scramble).map_err(strange)?;
    let response = HandshakeResponse::new(
        proof.data(),
        UNICODE,
        Some(account.user.as_bytes()),
        database.map(str::as_bytes),
        Some(plugin),
        capabilities,
        None,
        MAX_PACKET,
    );
    let mut bytes = Vec::new();
    response.serialize(&mut bytes);
    session.send_packet(1 + u8::from(encrypted), &bytes, watch)?;
    loop {
        let Packet { number, body } = next(session, watch)?;
        let answer = match body.first() {
            Some(0) => return Ok(hello.connection_id()),
            Some(0xfe) if body.len() > 1 => {
                let switch: AuthSwitchRequest<'_> = packet::read(&body, ()).map_err(strange)?;
                way = known(&switch.auth_plugin())?;
                scramble = switch.plugin_data().to_vec();
                let secret = Secret { password, scramble: &scramble, encrypted };
                way.run(&secret, &scramble)
            }
            Some(1) => way.run(&Secret { password, scramble: &scramble, encrypted }, &body[1..]),
            _ => return Err(refused("it asks for a kind of login that this server does not know")),
        };
        if let Some(answer) = answer.map_err(strange)?.data() {
            session.send_packet(number.wrapping_add(1), answer, watch)?;
        }
    }
}

/// Agrees on TLS. Who has none is not spoken to in clear instead.
fn secure(
    session: &mut Session,
    hello: &HandshakePacket<'_>,
    capabilities: CapabilityFlags,
    watch: &dyn Watch,
) -> Result<(), Trouble> {
    if !hello.capabilities().contains(CapabilityFlags::CLIENT_SSL) {
        return Err(SqlError::Unavailable(
            "it speaks no TLS, which database.json asks for; set ssl_cert and ssl_key in its my.cnf".into(),
        )
        .into());
    }
    let mut wish = Vec::new();
    SslRequest::new(capabilities, MAX_PACKET, UTF8).serialize(&mut wish);
    session.send_packet(1, &wish, watch)?;
    session.secure(watch)
}

/// The same in the wish for TLS and behind it: of the second time not all is read.
fn capabilities(encrypted: bool, database: bool) -> CapabilityFlags {
    let mut capabilities = CAPABILITIES;
    capabilities.set(CapabilityFlags::CLIENT_SSL, encrypted);
    capabilities.set(CapabilityFlags::CLIENT_CONNECT_WITH_DB, database);
    capabilities
}

/// How to prove that one knows the password, in this way.
fn known(plugin: &AuthPlugin<'_>) -> Result<AuthProc, Trouble> {
    match plugin {
        AuthPlugin::MysqlNativePassword | AuthPlugin::CachingSha2Password => plugin.init().map_err(strange),
        other => Err(refused(&format!(
            "the account has the login {}, and known here are mysql_native_password and caching_sha2_password",
            String::from_utf8_lossy(other.as_bytes())
        ))),
    }
}

fn next(session: &mut Session, watch: &dyn Watch) -> Result<Packet, Trouble> {
    let packet = session.next(watch)?;
    if packet.body.first() != Some(&0xff) {
        return Ok(packet);
    }
    let refused = Refused::read(&packet.body);
    Err(if refused.is_the_end() { Trouble::Lost(refused.words) } else { self::refused(&refused.words) })
}

fn refused(why: &str) -> Trouble {
    SqlError::Unavailable(format!("the database refused the login: {}", why.trim_end_matches('.'))).into()
}
