// Copyright (c) 2026 bluegreen.aws contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package clients;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;

/**
 * One client for JDBC: the driver alone, or the AWS Advanced JDBC Wrapper around it with its plugin {@code bg}.
 *
 * <p>The same protocol as {@code tests/clients/program.py}: the order on stdin, one {@code key=value} a line up to an
 * empty line; {@code stop} or the end of stdin ends it; one JSON line on stdout for every attempt and every word of
 * the wrapper's plugin.
 */
public final class Program {
  private static final Map<String, String> SERVER =
      Map.of("postgresql", "host(inet_server_addr())", "mysql", "@@server_uuid");
  private static final String PLUGIN = "software.amazon.jdbc.plugin.bluegreen";
  private static final Logger LOG = Logger.getLogger(PLUGIN); // kept: a logger that nobody holds loses its level
  private static final long LEAVE_MS = 3000;

  private final Map<String, String> order;
  private final CountDownLatch stopping = new CountDownLatch(1);

  private Program(Map<String, String> order) {
    this.order = order;
  }

  /** Run one client. */
  public static void main(String[] arguments) throws Exception {
    BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    Map<String, String> order = new HashMap<>();
    for (String line = input.readLine(); line != null && !line.isBlank(); line = input.readLine()) {
      int equals = line.indexOf('=');
      order.put(line.substring(0, equals), line.substring(equals + 1));
    }
    listen();
    Program program = new Program(order);
    Thread obeying = new Thread(() -> program.obey(input));
    obeying.setDaemon(true);
    obeying.start();
    program.run();
    Runtime.getRuntime().halt(0); // the wrapper's monitors and a held call end with the process
  }

  private static void listen() {
    LOG.setLevel(Level.FINE);
    LOG.setUseParentHandlers(false);
    LOG.addHandler(
        new Handler() {
          @Override
          public void publish(LogRecord record) {
            double at = record.getInstant().toEpochMilli() / 1000.0;
            say("event", at, "\"text\": " + quoted(String.valueOf(record.getMessage())));
          }

          @Override
          public void flush() {}

          @Override
          public void close() {}
        });
  }

  private void obey(BufferedReader input) {
    try {
      for (String line = input.readLine(); line != null && !line.strip().equals("stop"); line = input.readLine()) {}
    } catch (IOException error) {
      // whoever gave the order is gone
    }
    stopping.countDown();
  }

  private void run() throws InterruptedException {
    List<Thread> threads = new ArrayList<>();
    start(threads, "writers", "rate", this::write);
    start(threads, "probes", "probe_rate", this::probe);
    stopping.await();
    long end = System.currentTimeMillis() + LEAVE_MS;
    int stuck = 0;
    for (Thread thread : threads) {
      thread.join(Math.max(1, end - System.currentTimeMillis()));
      stuck += thread.isAlive() ? 1 : 0;
    }
    say("end", now(), "\"stuck\": " + stuck);
  }

  private interface Task {
    void run(int number, long pause) throws InterruptedException;
  }

  private void start(List<Thread> threads, String count, String rate, Task task) {
    long pause = Math.round(1000 / Double.parseDouble(order.get(rate)));
    for (int number = 1; number <= Integer.parseInt(order.get(count)); number++) {
      int mine = number;
      Thread thread =
          new Thread(
              () -> {
                try {
                  task.run(mine, pause);
                } catch (InterruptedException error) {
                  Thread.currentThread().interrupt();
                }
              });
      thread.setDaemon(true);
      threads.add(thread);
      thread.start();
    }
  }

  private Connection connect() throws SQLException {
    boolean mysql = order.get("kind").equals("mysql");
    boolean wrapped = order.get("driver").equals("wrapper");
    String ca = order.getOrDefault("ca", "");
    Properties properties = new Properties();
    properties.setProperty("user", order.get("user"));
    properties.setProperty("password", order.get("password"));
    if (mysql) {
      properties.setProperty("connectTimeout", "5000");
      properties.setProperty("sslMode", ca.isEmpty() ? "DISABLED" : "REQUIRED");
    } else {
      properties.setProperty("connectTimeout", wrapped ? "5000" : "5"); // the wrapper's is in milliseconds
      properties.setProperty("sslmode", ca.isEmpty() ? "disable" : "verify-ca");
      if (!ca.isEmpty()) {
        properties.setProperty("sslrootcert", ca);
      }
    }
    if (wrapped) {
      properties.setProperty("wrapperPlugins", "bg");
      properties.setProperty("bgBaselineMs", "1000");
      if (!order.getOrDefault("dialect", "").isEmpty()) {
        properties.setProperty("wrapperDialect", order.get("dialect"));
      }
    }
    String place = order.get("kind") + "://" + order.get("host") + ":" + order.get("port") + "/" + order.get("database");
    return DriverManager.getConnection((wrapped ? "jdbc:aws-wrapper:" : "jdbc:") + place, properties);
  }

  /** Commit one row after the other; a number that was tried is never used again. */
  private void write(int number, long pause) throws InterruptedException {
    String who = order.get("client") + "-" + number;
    String server = "";
    String statement =
        "INSERT INTO " + order.get("table") + " (client, n, server) VALUES (?, ?, " + SERVER.get(order.get("kind")) + ")";
    Connection session = null;
    for (long n = 1; stopping.getCount() > 0; n++) {
      String which = "\"who\": " + quoted(who) + ", \"n\": " + n;
      long start = System.nanoTime();
      double at = now();
      try {
        if (session == null) {
          session = connect();
          server = ask(session);
        }
        try (PreparedStatement insert = session.prepareStatement(statement)) {
          insert.setString(1, who);
          insert.setLong(2, n);
          insert.executeUpdate();
        }
        tell("write", at, start, which + ", \"server\": " + quoted(server), null);
      } catch (SQLException | RuntimeException error) {
        tell("write", at, start, which, error);
        leave(session);
        session = null;
      }
      stopping.await(pause, TimeUnit.MILLISECONDS);
    }
    leave(session);
  }

  /** Connect anew, ask who answers, leave. */
  private void probe(int number, long pause) throws InterruptedException {
    String who = "\"who\": " + quoted(order.get("client") + "-probe-" + number);
    while (stopping.getCount() > 0) {
      long start = System.nanoTime();
      double at = now();
      try (Connection session = connect()) {
        tell("connect", at, start, who + ", \"server\": " + quoted(ask(session)), null);
      } catch (SQLException | RuntimeException error) {
        tell("connect", at, start, who, error);
      }
      stopping.await(pause, TimeUnit.MILLISECONDS);
    }
  }

  private String ask(Connection session) throws SQLException {
    try (Statement statement = session.createStatement();
        ResultSet answer = statement.executeQuery("SELECT " + SERVER.get(order.get("kind")))) {
      answer.next();
      return answer.getString(1);
    }
  }

  private static void leave(Connection session) {
    try {
      if (session != null) {
        session.close();
      }
    } catch (SQLException | RuntimeException error) {
      // it is gone already, which is what was wanted
    }
  }

  private static void tell(String what, double at, long start, String facts, Exception error) {
    String ms = String.format(Locale.ROOT, "%.1f", (System.nanoTime() - start) / 1e6);
    String answer = "\"ms\": " + ms + ", \"ok\": " + (error == null) + ", " + facts;
    say(what, at, error == null ? answer : answer + ", \"error\": " + quoted(named(error)));
  }

  private static String named(Exception error) {
    String text = String.valueOf(error.getMessage()).replaceAll("\\s+", " ").strip();
    String state = error instanceof SQLException sql ? sql.getSQLState() + " " : "";
    return error.getClass().getSimpleName() + ": " + state + text.substring(0, Math.min(160, text.length()));
  }

  private static double now() {
    return System.currentTimeMillis() / 1000.0;
  }

  private static synchronized void say(String what, double at, String facts) {
    System.out.println(
        "{\"what\": \"" + what + "\", \"at\": " + String.format(Locale.ROOT, "%.3f", at) + ", " + facts + "}");
  }

  private static String quoted(String text) {
    StringBuilder result = new StringBuilder("\"");
    for (char letter : text.toCharArray()) {
      switch (letter) {
        case '"' -> result.append("\\\"");
        case '\\' -> result.append("\\\\");
        case '\n' -> result.append("\\n");
        default -> result.append(letter < ' ' ? String.format("\\u%04x", (int) letter) : String.valueOf(letter));
      }
    }
    return result.append('"').toString();
  }
}
