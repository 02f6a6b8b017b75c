-- What a database of the laboratory needs in PostgreSQL. Run by a superuser, connected to that database; may be run again.
--
-- The servers log in as a role that owns nothing of this schema and may read nothing in it. It reaches the records only
-- through the functions below, each of which asks for a key that only the servers can compute from the role's password. A
-- client's SQL runs as the same role and does not know the key, so it can do nothing with them.

CREATE SCHEMA IF NOT EXISTS lab;
REVOKE ALL ON SCHEMA lab FROM PUBLIC;

CREATE TABLE IF NOT EXISTS lab.settings (uuid text NOT NULL, key_digest bytea NOT NULL, role name NOT NULL);
-- Ids are written big endian in eight bytes, because these sort as the numbers do. `outcome` is missing only inside the
-- transaction that carries the request out.
CREATE TABLE IF NOT EXISTS lab.outcomes (
    client bytea NOT NULL, sequence bytea NOT NULL, fingerprint bytea NOT NULL, outcome text,
    at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (client, sequence));
CREATE TABLE IF NOT EXISTS lab.clients (client bytea PRIMARY KEY, low_water bytea NOT NULL);
CREATE TABLE IF NOT EXISTS lab.forgotten (client bytea NOT NULL);
INSERT INTO lab.forgotten SELECT '\x0000000000000000' WHERE NOT EXISTS (SELECT FROM lab.forgotten);

CREATE OR REPLACE FUNCTION lab.identity() RETURNS text
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, lab, pg_temp AS 'SELECT uuid FROM lab.settings';

CREATE OR REPLACE FUNCTION lab.check_key(key bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, lab, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM lab.settings WHERE key_digest = sha256(key)) THEN
        RAISE insufficient_privilege USING MESSAGE = 'the records of the laboratory are for its servers alone';
    END IF;
END $$;

-- What is known about a request.
CREATE OR REPLACE FUNCTION lab.look(
    key bytea, asked_client bytea, asked_sequence bytea,
    OUT forgotten bytea, OUT low_water bytea, OUT fingerprint bytea, OUT outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, lab, pg_temp AS $$
BEGIN
    PERFORM lab.check_key(key);
    SELECT f.client INTO forgotten FROM lab.forgotten f;
    SELECT c.low_water INTO low_water FROM lab.clients c WHERE c.client = asked_client;
    SELECT o.fingerprint, o.outcome INTO fingerprint, outcome FROM lab.outcomes o
    WHERE o.client = asked_client AND o.sequence = asked_sequence;
END $$;

-- Takes the request, or waits for whoever has taken it and returns what came of it. Each statement in here sees what was
-- committed before it, so what is looked up after the wait is final.
CREATE OR REPLACE FUNCTION lab.claim(
    key bytea, asked_client bytea, asked_sequence bytea, asked_fingerprint bytea,
    OUT forgotten bytea, OUT low_water bytea, OUT fingerprint bytea, OUT outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, lab, pg_temp AS $$
BEGIN
    PERFORM lab.check_key(key);
    LOOP
        INSERT INTO lab.outcomes (client, sequence, fingerprint)
        VALUES (asked_client, asked_sequence, asked_fingerprint) ON CONFLICT DO NOTHING;
        EXIT WHEN FOUND;
        SELECT o.fingerprint, o.outcome INTO fingerprint, outcome FROM lab.outcomes o
        WHERE o.client = asked_client AND o.sequence = asked_sequence;
        EXIT WHEN FOUND;
    END LOOP;
    SELECT f.client INTO forgotten FROM lab.forgotten f;
    SELECT c.low_water INTO low_water FROM lab.clients c WHERE c.client = asked_client;
END $$;

-- Writes the outcome down, and deletes a bounded number of records that are settled (below the mark) or too old. What somebody
-- else is deleting is left to them.
CREATE OR REPLACE FUNCTION lab.note(
    key bytea, asked_client bytea, asked_sequence bytea, new_outcome text, mark bytea, too_old bytea)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, lab, pg_temp AS $$
DECLARE
    gone bytea;
BEGIN
    PERFORM lab.check_key(key);
    UPDATE lab.outcomes SET outcome = new_outcome WHERE client = asked_client AND sequence = asked_sequence;
    IF mark IS NOT NULL THEN
        INSERT INTO lab.clients AS c VALUES (asked_client, mark)
        ON CONFLICT (client) DO UPDATE SET low_water = greatest(c.low_water, excluded.low_water);
        DELETE FROM lab.outcomes WHERE (client, sequence) IN (
            SELECT o.client, o.sequence FROM lab.outcomes o WHERE o.client = asked_client AND o.sequence < mark
            ORDER BY o.sequence LIMIT 32 FOR UPDATE SKIP LOCKED);
    END IF;
    WITH deleted AS (
        DELETE FROM lab.outcomes WHERE (client, sequence) IN (
            SELECT o.client, o.sequence FROM lab.outcomes o WHERE o.client < too_old
            ORDER BY o.client, o.sequence LIMIT 32 FOR UPDATE SKIP LOCKED)
        RETURNING client)
    SELECT client INTO gone FROM deleted ORDER BY client DESC LIMIT 1;
    IF FOUND THEN
        UPDATE lab.forgotten SET client = greatest(client, gone);
        DELETE FROM lab.clients WHERE client <= gone;
    END IF;
END $$;

-- Whatever of the servers' role its own SQL could change: its password, its settings, who may become it.
CREATE OR REPLACE FUNCTION lab.role_state() RETURNS text
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, lab, pg_temp AS $$
    SELECT md5(concat(a.rolpassword, a.rolvaliduntil,
        (SELECT string_agg(concat(s.setdatabase, s.setconfig), ',' ORDER BY s.setdatabase)
         FROM pg_db_role_setting s WHERE s.setrole = a.oid),
        (SELECT string_agg(m.member::text, ',' ORDER BY m.member) FROM pg_auth_members m WHERE m.roleid = a.oid)))
    FROM pg_authid a WHERE a.rolname = session_user
$$;

CREATE OR REPLACE FUNCTION lab.same_role(state text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, lab, pg_temp AS $$
BEGIN
    IF state IS DISTINCT FROM lab.role_state() THEN
        RAISE insufficient_privilege USING MESSAGE = 'the role of the servers cannot be changed by a client';
    END IF;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA lab FROM PUBLIC;
-- A role may end its own sessions, and all servers share one.
REVOKE EXECUTE ON FUNCTION pg_terminate_backend(integer, bigint), pg_cancel_backend(integer) FROM PUBLIC;

-- What a client lets run inside the COMMIT runs behind every check that comes before it, and nobody can end it: a deferred
-- trigger may defer itself again. So what can be deferred and runs a function of the servers' role is refused where it is made:
-- constraint triggers, exclusion constraints (their expressions), and casts that a deferred foreign key would use. Unique and
-- foreign keys may be deferred. (Cursors WITH HOLD are the other such thing; the servers close them before they commit.)
CREATE OR REPLACE FUNCTION lab.nothing_inside_a_commit() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, lab, pg_temp AS $$
DECLARE
    servers oid := (SELECT r.oid FROM pg_roles r JOIN lab.settings s ON s.role = r.rolname);
BEGIN
    IF EXISTS (SELECT FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid JOIN pg_class c ON c.oid = t.tgrelid
               WHERE t.tgdeferrable AND NOT t.tgisinternal AND servers IN (f.proowner, c.relowner))
       OR EXISTS (SELECT FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
                  WHERE k.condeferrable AND k.contype = 'x' AND c.relowner = servers)
       OR EXISTS (SELECT FROM pg_cast a JOIN pg_proc f ON f.oid = a.castfunc
                  WHERE a.castcontext = 'i' AND f.proowner = servers) THEN
        RAISE insufficient_privilege USING MESSAGE =
            'what acts inside a COMMIT (a deferrable trigger or exclusion constraint, an implicit cast) is not allowed here';
    END IF;
END $$;
REVOKE ALL ON FUNCTION lab.nothing_inside_a_commit() FROM PUBLIC;
DROP EVENT TRIGGER IF EXISTS lab_nothing_inside_a_commit;
CREATE EVENT TRIGGER lab_nothing_inside_a_commit ON ddl_command_end EXECUTE FUNCTION lab.nothing_inside_a_commit();
