-- Copyright (c) 2026 bluegreen.aws contributors
-- GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- The service's procedures over the real statements, as Aurora MySQL 3 and 8.4 have them (AWS: "Aurora MySQL stored
-- procedure reference"). Their preconditions, messages and sleeps are those of the bodies that the service has on RDS for
-- MySQL 8.0; that Aurora's are alike is an assumption.
--
-- A line `-- name from [to]` begins one statement; it is there from Aurora version `from` on and before version `to`.
-- {short} and {long} are seconds of sleep, {definer} is the service's account; {material}, {delay} and {delayed} are what RDS
-- for MySQL has differently. The first ones are not the service's: they
-- run with the rights of whoever calls them (SQL SECURITY INVOKER), which are the service's below its own procedures only.

-- state 3.0
CREATE {definer} FUNCTION mysql.rds_replication_service_state() RETURNS varchar(10) READS SQL DATA
BEGIN
  DECLARE v_configured, v_on INT DEFAULT 0;
  SELECT COUNT(*) INTO v_configured FROM performance_schema.replication_connection_configuration
   WHERE channel_name = '' AND host <> '';
  IF v_configured = 0 THEN
    RETURN 'NOT_EXIST';
  END IF;
  SELECT COUNT(*) INTO v_on FROM (
    SELECT service_state FROM performance_schema.replication_connection_status WHERE channel_name = ''
    UNION ALL
    SELECT service_state FROM performance_schema.replication_applier_status WHERE channel_name = ''
  ) AS threads WHERE service_state <> 'OFF';
  RETURN ELT(v_on + 1, 'OFF', 'BROKEN', 'ON');
END

-- record 3.0
CREATE {definer} PROCEDURE mysql.rds_record_replication(p_action varchar(60), p_host varchar(255), p_port int,
  p_user varchar(100), p_file varchar(255), p_position bigint, p_gtid text)
SQL SECURITY INVOKER
BEGIN
  DECLARE v_logging BOOLEAN DEFAULT @@SESSION.sql_log_bin;
  DECLARE v_caller varchar(352) DEFAULT USER();
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN SET SESSION sql_log_bin = v_logging; RESIGNAL; END;
  SET SESSION sql_log_bin = OFF;
  INSERT INTO mysql.rds_history (called_by_user, action, mysql_version, master_host, master_port, master_user,
    master_log_file, master_log_pos, master_gtid)
  VALUES (v_caller, p_action, VERSION(), p_host, p_port, p_user, p_file, p_position, p_gtid);
  REPLACE INTO mysql.rds_replication_status (channel_name, called_by_user, action, mysql_version, master_host, master_port)
  VALUES ('', v_caller, p_action, VERSION(), p_host, p_port);
  COMMIT;
  SET SESSION sql_log_bin = v_logging;
END

-- execute 3.0
CREATE {definer} PROCEDURE mysql.rds_execute(p_statement text)
SQL SECURITY INVOKER
BEGIN
  IF CURRENT_USER() <> 'rdsadmin@localhost' THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'Must be rdsadmin@localhost to call this procedure';
  END IF;
  SET @rds_statement = p_statement;
  PREPARE rds_prepared FROM @rds_statement;
  SET @rds_statement = NULL;
  EXECUTE rds_prepared;
  DEALLOCATE PREPARE rds_prepared;
END

-- configure 3.0
CREATE {definer} PROCEDURE mysql.rds_configure_source(p_host varchar(255), p_port int, p_user varchar(100),
  p_password varchar(200), p_position text, p_ssl tinyint)
SQL SECURITY INVOKER
BEGIN
  DECLARE v_ssl text DEFAULT ', SOURCE_SSL=0';
  IF @@SESSION.autocommit <> 1 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'This procedure can only be called when autocommit is enabled.';
  END IF;
  IF mysql.rds_replication_service_state() NOT IN ('OFF', 'NOT_EXIST') THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
      'You can''t modify replication because replication is running. First call mysql.rds_stop_replication.';
  END IF;
  IF p_ssl = 1 THEN
    IF NOT {material} THEN
      SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
        'SSL material is not imported. First call mysql.rds_import_binlog_ssl_material.';
    END IF;
    SET v_ssl = ', SOURCE_SSL=1';
  END IF;
  CALL mysql.rds_execute(CONCAT('CHANGE REPLICATION SOURCE TO SOURCE_HOST=', QUOTE(TRIM(p_host)), ', SOURCE_PORT=',
    p_port, ', SOURCE_USER=', QUOTE(p_user), ', SOURCE_PASSWORD=', QUOTE(p_password), p_position, v_ssl,
    ', SOURCE_BIND=', QUOTE(@@GLOBAL.bind_address), ' FOR CHANNEL \'\''));
END

-- rds_set_external_source 3.0
CREATE {definer} PROCEDURE mysql.rds_set_external_source(host_name varchar(255), host_port int,
  replication_user_name varchar(100), replication_user_password varchar(200), mysql_binary_log_file_name varchar(255),
  mysql_binary_log_file_location bigint, ssl_encryption tinyint)
BEGIN
  CALL mysql.rds_configure_source(host_name, host_port, replication_user_name, replication_user_password,
    CONCAT(', SOURCE_AUTO_POSITION=0, SOURCE_LOG_FILE=', QUOTE(TRIM(mysql_binary_log_file_name)), ', SOURCE_LOG_POS=',
    mysql_binary_log_file_location), ssl_encryption);
  CALL mysql.rds_record_replication('set master', host_name, host_port, replication_user_name,
    mysql_binary_log_file_name, mysql_binary_log_file_location, NULL);
END

-- rds_set_external_source_with_auto_position 3.0
CREATE {definer} PROCEDURE mysql.rds_set_external_source_with_auto_position(host_name varchar(255), host_port int,
  replication_user_name varchar(100), replication_user_password varchar(200), ssl_encryption tinyint{delay})
BEGIN
  CALL mysql.rds_configure_source(host_name, host_port, replication_user_name, replication_user_password,
    CONCAT(', SOURCE_AUTO_POSITION=1', {delayed}), ssl_encryption);
  CALL mysql.rds_record_replication('set master', host_name, host_port, replication_user_name, NULL, NULL, NULL);
END

-- rds_set_external_source_with_delay 8.4.8
CREATE {definer} PROCEDURE mysql.rds_set_external_source_with_delay(host_name varchar(255), host_port int,
  replication_user_name varchar(100), replication_user_password varchar(200), mysql_binary_log_file_name varchar(255),
  mysql_binary_log_file_location bigint, ssl_encryption tinyint, delay int)
BEGIN
  IF delay NOT BETWEEN 0 AND 86400 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'For source delay the value must be between 0 and 86400 inclusive.';
  END IF;
  CALL mysql.rds_configure_source(host_name, host_port, replication_user_name, replication_user_password,
    CONCAT(', SOURCE_AUTO_POSITION=0, SOURCE_LOG_FILE=', QUOTE(TRIM(mysql_binary_log_file_name)), ', SOURCE_LOG_POS=',
    mysql_binary_log_file_location, ', SOURCE_DELAY=', delay), ssl_encryption);
  CALL mysql.rds_record_replication('set master', host_name, host_port, replication_user_name,
    mysql_binary_log_file_name, mysql_binary_log_file_location, NULL);
END

-- rds_set_source_auto_position 3.0
CREATE {definer} PROCEDURE mysql.rds_set_source_auto_position(auto_position_mode tinyint)
BEGIN
  IF mysql.rds_replication_service_state() = 'NOT_EXIST' THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
      'You can''t change auto position because the replica isn''t configured. First call mysql.rds_set_external_source.';
  END IF;
  IF mysql.rds_replication_service_state() <> 'OFF' THEN
    CALL mysql.rds_execute('STOP REPLICA FOR CHANNEL \'\'');
    CALL mysql.rds_execute(CONCAT('CHANGE REPLICATION SOURCE TO SOURCE_AUTO_POSITION=', auto_position_mode,
      ' FOR CHANNEL \'\''));
    CALL mysql.rds_execute('START REPLICA FOR CHANNEL \'\'');
  ELSE
    CALL mysql.rds_execute(CONCAT('CHANGE REPLICATION SOURCE TO SOURCE_AUTO_POSITION=', auto_position_mode,
      ' FOR CHANNEL \'\''));
  END IF;
  SELECT CONCAT('Master Auto Position has been set to ', auto_position_mode, '.') AS Message;
END

-- rds_start_replication 3.0
CREATE {definer} PROCEDURE mysql.rds_start_replication()
BEGIN
  CASE mysql.rds_replication_service_state()
    WHEN 'NOT_EXIST' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
      'You can''t start replication because the replica isn''t configured. First call mysql.rds_set_external_source.';
    WHEN 'ON' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
      'Replication may already be running. Call rds_stop_replication to stop replication';
    WHEN 'BROKEN' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
      'Replication might be running. First call mysql.rds_stop_replication.';
    ELSE BEGIN END;
  END CASE;
  CALL mysql.rds_record_replication('start slave', NULL, NULL, NULL, NULL, NULL, NULL);
  DO SLEEP({short});
  CALL mysql.rds_execute('START REPLICA FOR CHANNEL \'\'');
  DO SLEEP({long});
  IF mysql.rds_replication_service_state() <> 'ON' OR NOT EXISTS (
    SELECT 1 FROM performance_schema.replication_connection_status WHERE channel_name = '' AND service_state = 'ON')
  THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
      'Slave has encountered an error. Run SHOW SLAVE STATUS\\G; to see the error.';
  END IF;
  SELECT 'Slave running normally.' AS Message;
END

-- rds_stop_replication 3.0
CREATE {definer} PROCEDURE mysql.rds_stop_replication()
BEGIN
  CASE mysql.rds_replication_service_state()
    WHEN 'NOT_EXIST' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
      'You can''t stop replication because the replica isn''t configured. First call mysql.rds_set_external_source.';
    WHEN 'OFF' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
      'Slave is already stopped or may not be configured. Run SHOW SLAVE STATUS\\G;';
    ELSE BEGIN END;
  END CASE;
  CALL mysql.rds_record_replication('stop slave', NULL, NULL, NULL, NULL, NULL, NULL);
  DO SLEEP({short});
  CALL mysql.rds_execute('STOP REPLICA FOR CHANNEL \'\'');
  DO SLEEP({long});
  SELECT 'Slave is down or disabled' AS Message;
END

-- rds_start_replication_until 3.4
CREATE {definer} PROCEDURE mysql.rds_start_replication_until(replication_log_file varchar(255),
  replication_stop_point bigint)
BEGIN
  IF mysql.rds_replication_service_state() = 'NOT_EXIST' THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
      'You can''t start replication because the replica isn''t configured. First call mysql.rds_set_external_source.';
  ELSEIF mysql.rds_replication_service_state() <> 'OFF' THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
      'Replication may already be running. Call rds_stop_replication to stop replication';
  END IF;
  CALL mysql.rds_record_replication('start until', NULL, NULL, NULL, replication_log_file, replication_stop_point, NULL);
  DO SLEEP({short});
  CALL mysql.rds_execute(CONCAT('START REPLICA UNTIL SOURCE_LOG_FILE=', QUOTE(TRIM(replication_log_file)),
    ', SOURCE_LOG_POS=', replication_stop_point, ' FOR CHANNEL \'\''));
  DO SLEEP({long});
  SELECT CONCAT('Replication started until MASTER_LOG_FILE = ', replication_log_file, ' and MASTER_LOG_POS = ',
    replication_stop_point) AS Message;
END

-- rds_start_replication_until_gtid 3.4
CREATE {definer} PROCEDURE mysql.rds_start_replication_until_gtid(gtid text)
BEGIN
  IF mysql.rds_replication_service_state() = 'NOT_EXIST' THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
      'You can''t start replication because the replica isn''t configured. First call mysql.rds_set_external_source.';
  ELSEIF mysql.rds_replication_service_state() <> 'OFF' THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
      'Replication may already be running. Call rds_stop_replication to stop replication';
  END IF;
  CALL mysql.rds_record_replication('start until', NULL, NULL, NULL, NULL, NULL, gtid);
  DO SLEEP({short});
  CALL mysql.rds_execute(CONCAT('START REPLICA UNTIL SQL_AFTER_GTIDS=', QUOTE(TRIM(gtid)), ' FOR CHANNEL \'\''));
  DO SLEEP({long});
  SELECT CONCAT('Replication started until SQL_AFTER_GTIDS = ', gtid) AS Message;
END

-- rds_reset_external_source 3.0
CREATE {definer} PROCEDURE mysql.rds_reset_external_source()
BEGIN
  DECLARE v_state varchar(10) DEFAULT mysql.rds_replication_service_state();
  IF v_state = 'NOT_EXIST' THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
      'You can''t reset replication because replication isn''t configured. First run mysql.rds_set_external_source.';
  END IF;
  IF v_state <> 'OFF' THEN
    CALL mysql.rds_execute('STOP REPLICA FOR CHANNEL \'\'');
    DO SLEEP({long});
  END IF;
  CALL mysql.rds_execute('RESET REPLICA ALL FOR CHANNEL \'\'');
  CALL mysql.rds_record_replication('reset slave', NULL, NULL, NULL, NULL, NULL, NULL);
  SELECT 'Slave has been reset' AS Message;
END

-- rds_skip_repl_error 3.0
CREATE {definer} PROCEDURE mysql.rds_skip_repl_error()
BEGIN
  DECLARE v_sql, v_error INT DEFAULT 0;
  IF mysql.rds_replication_service_state() = 'NOT_EXIST' THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
      'You can''t skip a replication error because the replica isn''t configured.';
  END IF;
  SELECT COUNT(*), COALESCE(MAX(last_error_number), 0) INTO v_sql, v_error
    FROM performance_schema.replication_applier_status_by_worker WHERE channel_name = '' AND last_error_number <> 0;
  IF v_sql = 0 THEN
    SELECT 'Slave is running normally. No errors detected to skip.' AS Message;
  ELSE
    CALL mysql.rds_record_replication('skip repl error', NULL, NULL, NULL, NULL, NULL, NULL);
    CALL mysql.rds_execute('STOP REPLICA FOR CHANNEL \'\'');
    SET GLOBAL {skip_counter} = 1;
    CALL mysql.rds_execute('START REPLICA FOR CHANNEL \'\'');
    DO SLEEP({long});
    SELECT 'Statement in error has been skipped' AS Message;
    IF mysql.rds_replication_service_state() = 'ON' THEN
      SELECT 'Slave is running normally' AS Message;
    ELSE
      SELECT 'Slave has encountered a new error. Please use SHOW SLAVE STATUS to see the error.' AS Message;
    END IF;
  END IF;
END

-- rds_skip_transaction_with_gtid 3.0
CREATE {definer} PROCEDURE mysql.rds_skip_transaction_with_gtid(gtid_to_skip varchar(500))
BEGIN
  DECLARE v_running BOOLEAN DEFAULT mysql.rds_replication_service_state() NOT IN ('OFF', 'NOT_EXIST');
  IF v_running THEN
    CALL mysql.rds_execute('STOP REPLICA FOR CHANNEL \'\'');
  END IF;
  CALL mysql.rds_execute(CONCAT('SET SESSION gtid_next = ', QUOTE(TRIM(gtid_to_skip))));
  START TRANSACTION;
  COMMIT;
  SET SESSION gtid_next = 'AUTOMATIC';
  IF v_running THEN
    CALL mysql.rds_execute('START REPLICA FOR CHANNEL \'\'');
  END IF;
  SELECT 'Transaction has been skipped successfully.' AS Message;
END

-- rds_next_source_log 3.0
CREATE {definer} PROCEDURE mysql.rds_next_source_log(curr_source_log int)
BEGIN
  DECLARE v_error INT DEFAULT 0;
  SELECT COALESCE(MAX(last_error_number), 0) INTO v_error FROM performance_schema.replication_connection_status
   WHERE channel_name = '';
  IF v_error NOT IN (1236, 13114) THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
      'The replica has no I/O error 1236. This procedure moves it past a log that the source cannot read.';
  END IF;
  CALL mysql.rds_execute('STOP REPLICA FOR CHANNEL \'\'');
  CALL mysql.rds_execute(CONCAT('CHANGE REPLICATION SOURCE TO SOURCE_LOG_FILE=\'mysql-bin-changelog.',
    LPAD(curr_source_log + 1, 6, '0'), '\', SOURCE_LOG_POS=4 FOR CHANNEL \'\''));
  CALL mysql.rds_execute('START REPLICA FOR CHANNEL \'\'');
  DO SLEEP({long});
  SELECT 'Source Log Position has been set to start of next log' AS Message;
END

-- rds_gtid_purged 3.4
CREATE {definer} PROCEDURE mysql.rds_gtid_purged(gtid_set text)
BEGIN
  SET GLOBAL gtid_purged = gtid_set;
END

-- rds_assign_gtids_to_anonymous_transactions 3.1
CREATE {definer} PROCEDURE mysql.rds_assign_gtids_to_anonymous_transactions(gtid_option varchar(60))
BEGIN
  IF mysql.rds_replication_service_state() NOT IN ('OFF', 'NOT_EXIST') THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
      'You can''t modify replication because replication is running. First call mysql.rds_stop_replication.';
  END IF;
  CALL mysql.rds_execute(CONCAT('CHANGE REPLICATION SOURCE TO ASSIGN_GTIDS_TO_ANONYMOUS_TRANSACTIONS=',
    IF(UPPER(gtid_option) IN ('OFF', 'LOCAL'), UPPER(gtid_option), QUOTE(gtid_option)), ' FOR CHANNEL \'\''));
  SELECT CONCAT('ASSIGN_GTIDS_TO_ANONYMOUS_TRANSACTIONS has been set to: ', gtid_option) AS Message;
END

-- rds_import_binlog_ssl_material 3.0
CREATE {definer} PROCEDURE mysql.rds_import_binlog_ssl_material(ssl_material text)
BEGIN
  DECLARE v_logging BOOLEAN DEFAULT @@SESSION.sql_log_bin;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN SET SESSION sql_log_bin = v_logging; RESIGNAL; END;
  IF NOT COALESCE(JSON_VALID(ssl_material), FALSE)
     OR NOT JSON_CONTAINS_PATH(ssl_material, 'all', '$.ssl_ca', '$.ssl_cert', '$.ssl_key')
  THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'The SSL material must be JSON with ssl_ca, ssl_cert and ssl_key.';
  END IF;
  SET SESSION sql_log_bin = OFF;
  REPLACE INTO mysql.rds_binlog_ssl_material (id, ssl_ca) VALUES (1, ssl_material ->> '$.ssl_ca');
  SET SESSION sql_log_bin = v_logging;
  SELECT 'SSL material imported.' AS Message;
END

-- rds_remove_binlog_ssl_material 3.0
CREATE {definer} PROCEDURE mysql.rds_remove_binlog_ssl_material()
BEGIN
  DECLARE v_logging BOOLEAN DEFAULT @@SESSION.sql_log_bin;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN SET SESSION sql_log_bin = v_logging; RESIGNAL; END;
  SET SESSION sql_log_bin = OFF;
  DELETE FROM mysql.rds_binlog_ssl_material;
  SET SESSION sql_log_bin = v_logging;
END

-- rds_set_binlog_source_ssl 3.6
CREATE {definer} PROCEDURE mysql.rds_set_binlog_source_ssl(mode tinyint)
BEGIN
  IF mode NOT IN (0, 1) THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'The value must be 0 or 1.';
  END IF;
  IF mysql.rds_replication_service_state() NOT IN ('OFF', 'NOT_EXIST') THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
      'You can''t modify replication because replication is running. First call mysql.rds_stop_replication.';
  END IF;
  CALL mysql.rds_execute(CONCAT('CHANGE REPLICATION SOURCE TO SOURCE_SSL=', mode, ' FOR CHANNEL \'\''));
  SELECT CONCAT('SOURCE_SSL has been set to ', mode) AS Message;
END

-- rds_set_read_only 3.6
CREATE {definer} PROCEDURE mysql.rds_set_read_only(mode tinyint)
BEGIN
  IF mode NOT IN (0, 1) OR mode IS NULL THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'The value must be 0 or 1.';
  END IF;
  SET GLOBAL read_only = mode;
END

-- rds_set_configuration 3.0
CREATE {definer} PROCEDURE mysql.rds_set_configuration(name varchar(30), value int)
BEGIN
  DECLARE v_logging BOOLEAN DEFAULT @@SESSION.sql_log_bin;
  DECLARE v_name varchar(30) DEFAULT name;
  DECLARE v_value int DEFAULT value;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN SET SESSION sql_log_bin = v_logging; RESIGNAL; END;
  IF NOT EXISTS (SELECT 1 FROM mysql.rds_configuration AS known WHERE known.name = v_name) THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'Invalid configuration name.';
  END IF;
  IF v_name = 'binlog retention hours' AND v_value NOT BETWEEN 1 AND 2160 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
      'For binlog retention hours the value must be between 1 and 2160 inclusive or be NULL';
  END IF;
  SET SESSION sql_log_bin = OFF;
  UPDATE mysql.rds_configuration AS known SET known.value = v_value WHERE known.name = v_name;
  SET SESSION sql_log_bin = v_logging;
  IF v_name = 'binlog retention hours' THEN
    SET GLOBAL binlog_expire_logs_seconds = COALESCE(v_value, 720) * 3600;
  END IF;
END

-- rds_show_configuration 3.0
CREATE {definer} PROCEDURE mysql.rds_show_configuration()
BEGIN
  SELECT name, value, description FROM mysql.rds_configuration;
END

-- rds_kill 3.0
CREATE {definer} PROCEDURE mysql.rds_kill(processID bigint)
BEGIN
  IF EXISTS (SELECT 1 FROM performance_schema.processlist WHERE id = processID AND user IN ({own_users})) THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'Cannot kill system process';
  END IF;
  CALL mysql.rds_execute(CONCAT('KILL ', processID));
END

-- rds_kill_query 3.0
CREATE {definer} PROCEDURE mysql.rds_kill_query(processID bigint)
BEGIN
  IF EXISTS (SELECT 1 FROM performance_schema.processlist WHERE id = processID AND user IN ({own_users})) THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'Cannot kill system process';
  END IF;
  CALL mysql.rds_execute(CONCAT('KILL QUERY ', processID));
END

-- aurora_version 3.0
CREATE {definer} FUNCTION mysql.aurora_version() RETURNS varchar(20) DETERMINISTIC NO SQL RETURN '{version}'
