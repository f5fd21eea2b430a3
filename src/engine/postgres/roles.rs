//! The roles of a database's server, and what each of them may.

/// The database of a server that clients see. Each server has one.
pub const DATABASE: &str = "main";

/// The role that owns the server: the gateway's own, never a client's.
pub const OWNER: &str = "dbforge";

/// The role of requests that may write.
pub const APP: &str = "app";

/// The role of requests that only read. That they do is the role's lack of rights: the setting of
/// its sessions is a courtesy, which any session may turn off.
pub const READER: &str = "reader";

/// Most connections of [`APP`] and of [`READER`]. The executor has no more than this of both.
pub const MOST_CONNECTIONS: u32 = 18;

/// Functions that write large objects, which before PostgreSQL 16 a transaction that only reads may.
const WRITE_OBJECTS: &[&str] = &[
    "lo_create",
    "lo_creat",
    "lo_from_bytea",
    "lo_put",
    "lowrite",
    "lo_truncate",
    "lo_truncate64",
    "lo_unlink",
    "lo_open",
];

/// Functions that write to the write-ahead log, whatever the transaction may.
const WRITE_TO_LOG: &[&str] = &["pg_logical_emit_message"];

/// The statements that make the roles, run by [`OWNER`] in the database `template1` of a new server.
/// One statement a line each: so reads a server that runs alone.
///
/// [`APP`] does not own the database: an owner may set its connection limit to 0, and settings for
/// all of its sessions.
#[must_use]
pub fn statements_for_server(secrets: &RoleSecrets) -> Vec<String> {
    let role = |name: &str, secret: &str| {
        format!(
            "CREATE ROLE {name} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION \
             NOBYPASSRLS CONNECTION LIMIT {MOST_CONNECTIONS} PASSWORD '{secret}'"
        )
    };
    vec![
        format!("ALTER ROLE {OWNER} PASSWORD '{}'", secrets.owner),
        role(APP, &secrets.app),
        role(READER, &secrets.reader),
        format!("ALTER ROLE {READER} SET default_transaction_read_only = on"),
        format!("ALTER DATABASE postgres RENAME TO {DATABASE}"),
        format!("REVOKE ALL ON DATABASE {DATABASE}, template1 FROM PUBLIC"),
        format!("GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {DATABASE} TO {APP}"),
        format!("GRANT CONNECT ON DATABASE {DATABASE} TO {READER}"),
    ]
}

/// The statements that give the roles their rights, run by [`OWNER`] in [`DATABASE`].
///
/// What [`APP`] makes, [`READER`] may read. It is not a member of `pg_read_all_data`, which reads the
/// server's own catalogue as well: `pg_authid` with the secrets of all roles.
#[must_use]
pub fn statements_for_database() -> Vec<String> {
    vec![
        format!("ALTER SCHEMA public OWNER TO {APP}"),
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC".to_owned(),
        "GRANT USAGE ON SCHEMA public TO PUBLIC".to_owned(),
        format!("ALTER DEFAULT PRIVILEGES FOR ROLE {APP} GRANT SELECT ON TABLES TO {READER}"),
        format!("ALTER DEFAULT PRIVILEGES FOR ROLE {APP} GRANT SELECT ON SEQUENCES TO {READER}"),
        format!("ALTER DEFAULT PRIVILEGES FOR ROLE {APP} GRANT USAGE ON SCHEMAS TO {READER}"),
        for_each(
            WRITE_OBJECTS,
            &[
                "REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC",
                &format!("GRANT EXECUTE ON FUNCTION %s TO {APP}"),
            ],
        ),
        for_each(WRITE_TO_LOG, &["REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC"]),
    ]
}

/// Runs statements for every form of some functions: which there are depends on the version.
fn for_each(functions: &[&str], statements: &[&str]) -> String {
    let quoted = |texts: &[&str]| {
        let quoted: Vec<_> = texts.iter().map(|text| format!("'{text}'")).collect();
        quoted.join(", ")
    };
    format!(
        "DO $$ DECLARE f regprocedure; s text; BEGIN \
         FOR f IN SELECT oid::regprocedure FROM pg_proc \
         WHERE pronamespace = 'pg_catalog'::regnamespace AND proname IN ({}) LOOP \
         FOREACH s IN ARRAY ARRAY[{}] LOOP EXECUTE format(s, f); END LOOP; END LOOP; END $$",
        quoted(functions),
        quoted(statements)
    )
}

/// The secrets by which the gateway signs in, the same for all databases of a forge.
#[derive(Clone)]
pub struct RoleSecrets {
    /// Of [`OWNER`].
    pub owner: String,
    /// Of [`APP`].
    pub app: String,
    /// Of [`READER`].
    pub reader: String,
}

impl RoleSecrets {
    /// Made of the key of a forge.
    ///
    /// # Panics
    /// Never: a key may have any length.
    #[must_use]
    pub fn of_key(key: &[u8]) -> Self {
        use hmac::{Hmac, KeyInit as _, Mac as _};
        let secret = |role: &str| {
            let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).expect("any length is a key");
            mac.update(b"postgres role ");
            mac.update(role.as_bytes());
            hex::encode(mac.finalize().into_bytes())
        };
        Self {
            owner: secret(OWNER),
            app: secret(APP),
            reader: secret(READER),
        }
    }
}

impl std::fmt::Debug for RoleSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RoleSecrets(***)")
    }
}
