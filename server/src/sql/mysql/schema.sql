-- What a database of the laboratory needs in MySQL or MariaDB. Run by an administrator; may be run again. {records} stands for the
-- name of the database of the records: that of the database, with `_records` behind it.
--
-- The servers log in as an account that may do nothing in it but call the procedures below. They ask for a token: a digest of
-- a key that only the servers can compute from the account's password, of the connection's number, and of the
-- values, none of which may hold the bar between them. So a token that somebody sees in the list of processes is worth nothing on another connection or for other values.
CREATE DATABASE IF NOT EXISTS {records} CHARACTER SET utf8mb4
$$
CREATE TABLE IF NOT EXISTS {records}.settings (uuid CHAR(36) NOT NULL, secret CHAR(64) NOT NULL) ENGINE=InnoDB
$$
-- `outcome` is missing inside the transaction that carries the request out. A row without it that was committed means nothing.
CREATE TABLE IF NOT EXISTS {records}.outcomes (
    client BIGINT UNSIGNED NOT NULL, sequence BIGINT UNSIGNED NOT NULL, fingerprint BINARY(32) NOT NULL, outcome LONGTEXT,
    at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (client, sequence)) ENGINE=InnoDB
$$
CREATE TABLE IF NOT EXISTS {records}.clients (
    client BIGINT UNSIGNED NOT NULL PRIMARY KEY, low_water BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB
$$
CREATE TABLE IF NOT EXISTS {records}.forgotten (
    one TINYINT NOT NULL PRIMARY KEY, client BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB
$$
INSERT IGNORE INTO {records}.forgotten VALUES (1, 0)
$$
-- MariaDB replaces a procedure in one step, so that servers that are at work do not miss it.
/*M! DO 0 */ /*!80017 DROP PROCEDURE IF EXISTS {records}.identity */
$$
CREATE /*M! OR REPLACE */ PROCEDURE {records}.identity() READS SQL DATA SQL SECURITY DEFINER
SELECT uuid FROM {records}.settings
$$
/*M! DO 0 */ /*!80017 DROP PROCEDURE IF EXISTS {records}.check_token */
$$
-- The key stands before the digest of key and text: whoever sees a token cannot lengthen the text. What is said is NULL if a value in it
-- is, and no token is good for that, nor while there is no key.
CREATE /*M! OR REPLACE */ PROCEDURE {records}.check_token(token CHAR(64) CHARACTER SET ascii, said LONGTEXT CHARACTER SET utf8mb4) READS SQL DATA SQL SECURITY DEFINER
BEGIN
    DECLARE secret_key CHAR(64) CHARACTER SET utf8mb4;
    SELECT secret INTO secret_key FROM {records}.settings;
    IF NOT IFNULL(token = SHA2(CONCAT(secret_key, SHA2(CONCAT(secret_key, CONNECTION_ID(), '|', said), 256)), 256), FALSE) THEN
        SIGNAL SQLSTATE '42000' SET MYSQL_ERRNO = 1370, MESSAGE_TEXT = 'the records of the laboratory are for its servers alone';
    END IF;
END
$$
/*M! DO 0 */ /*!80017 DROP PROCEDURE IF EXISTS {records}.look */
$$
-- What is known about a request.
CREATE /*M! OR REPLACE */ PROCEDURE {records}.look(token CHAR(64), asked_client BIGINT UNSIGNED, asked_sequence BIGINT UNSIGNED)
READS SQL DATA SQL SECURITY DEFINER
BEGIN
    CALL {records}.check_token(token, CONCAT('look|', asked_client, '|', asked_sequence));
    SELECT f.client, c.low_water, HEX(o.fingerprint), o.outcome FROM {records}.forgotten f
    LEFT JOIN {records}.clients c ON c.client = asked_client
    LEFT JOIN {records}.outcomes o ON o.client = asked_client AND o.sequence = asked_sequence AND o.outcome IS NOT NULL;
END
$$
/*M! DO 0 */ /*!80017 DROP PROCEDURE IF EXISTS {records}.claim */
$$
-- Takes the request, or waits for whoever has taken it and returns what came of it. Each statement in here sees what was
-- committed before it, so what is looked up after the wait is final.
CREATE /*M! OR REPLACE */ PROCEDURE {records}.claim(
    token CHAR(64), asked_client BIGINT UNSIGNED, asked_sequence BIGINT UNSIGNED, asked_fingerprint CHAR(64))
MODIFIES SQL DATA SQL SECURITY DEFINER
BEGIN
    CALL {records}.check_token(token, CONCAT('claim|', asked_client, '|', asked_sequence, '|', asked_fingerprint));
    INSERT INTO {records}.outcomes (client, sequence, fingerprint)
    VALUES (asked_client, asked_sequence, UNHEX(asked_fingerprint)) ON DUPLICATE KEY UPDATE client = asked_client;
    UPDATE {records}.outcomes SET fingerprint = UNHEX(asked_fingerprint)
    WHERE client = asked_client AND sequence = asked_sequence AND outcome IS NULL;
    SELECT f.client, c.low_water, HEX(o.fingerprint), o.outcome FROM {records}.forgotten f
    LEFT JOIN {records}.clients c ON c.client = asked_client
    LEFT JOIN {records}.outcomes o ON o.client = asked_client AND o.sequence = asked_sequence AND o.outcome IS NOT NULL;
END
$$
/*M! DO 0 */ /*!80017 DROP PROCEDURE IF EXISTS {records}.note */
$$
-- Writes the outcome down, and deletes a bounded number of records that are settled (below the mark) or too old. What somebody
-- else is deleting is left to them.
CREATE /*M! OR REPLACE */ PROCEDURE {records}.note(
    token CHAR(64), asked_client BIGINT UNSIGNED, asked_sequence BIGINT UNSIGNED, new_outcome LONGTEXT CHARACTER SET utf8mb4,
    mark BIGINT UNSIGNED, too_old BIGINT UNSIGNED)
MODIFIES SQL DATA SQL SECURITY DEFINER
BEGIN
    DECLARE gone BIGINT UNSIGNED;
    -- The outcome may hold a bar; its digest does not.
    CALL {records}.check_token(token, CONCAT(
        'note|', asked_client, '|', asked_sequence, '|', SHA2(new_outcome, 256), '|', IFNULL(mark, '-'), '|', too_old));
    UPDATE {records}.outcomes SET outcome = new_outcome
    WHERE client = asked_client AND sequence = asked_sequence AND outcome IS NULL;
    IF ROW_COUNT() <> 1 THEN
        SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1370, MESSAGE_TEXT = 'the request was not claimed';
    END IF;
    IF mark IS NOT NULL THEN
        INSERT INTO {records}.clients VALUES (asked_client, mark) ON DUPLICATE KEY UPDATE low_water = GREATEST(low_water, mark);
        DELETE o FROM {records}.outcomes o JOIN (
            SELECT client, sequence FROM {records}.outcomes WHERE client = asked_client AND sequence < mark
            ORDER BY sequence LIMIT 32 FOR UPDATE SKIP LOCKED) AS old USING (client, sequence);
    END IF;
    SELECT MAX(client) INTO gone FROM (
        SELECT client FROM {records}.outcomes WHERE client < too_old
        ORDER BY client, sequence LIMIT 32 FOR UPDATE SKIP LOCKED) AS old;
    IF gone IS NOT NULL THEN
        DELETE o FROM {records}.outcomes o JOIN (
            SELECT client, sequence FROM {records}.outcomes WHERE client < too_old
            ORDER BY client, sequence LIMIT 32 FOR UPDATE SKIP LOCKED) AS old USING (client, sequence);
        UPDATE {records}.forgotten SET client = GREATEST(client, gone);
        DELETE FROM {records}.clients WHERE client <= gone;
    END IF;
END
