"""The tables of the store that the processes of a machine share.  Triggers keep every count, so whoever adds or deletes rows need not."""

from __future__ import annotations

_TABLES = (
    # What is left of clients that may come back.
    """CREATE TABLE records (
        id INTEGER PRIMARY KEY, token BLOB NOT NULL UNIQUE, until REAL NOT NULL, record BLOB NOT NULL
    )""",
    "CREATE INDEX records_over ON records (until)",
    # Users that are one connection's.  Without a process it is one that was given up, and kept for its heir.
    """CREATE TABLE claims (
        user TEXT PRIMARY KEY, connection INTEGER NOT NULL, process INTEGER, until REAL
    ) WITHOUT ROWID""",
    "CREATE INDEX claims_process ON claims (process) WHERE process IS NOT NULL",
    "CREATE INDEX claims_over ON claims (until) WHERE until IS NOT NULL",
    # known: it said itself that it is there, and nobody has begun to bury it.
    "CREATE TABLE processes (process INTEGER PRIMARY KEY, until REAL NOT NULL, known INTEGER NOT NULL)",
    # Groups with somebody in them, or somebody whose leaving is yet to be told.
    """CREATE TABLE rooms (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, members INTEGER NOT NULL DEFAULT 0, connections INTEGER NOT NULL DEFAULT 0
    )""",
    # In the order of id.  A member without seats has left, and that is yet to be told.
    """CREATE TABLE members (
        id INTEGER PRIMARY KEY, room INTEGER NOT NULL, name TEXT NOT NULL, info BLOB NOT NULL, seats INTEGER NOT NULL DEFAULT 0,
        UNIQUE (room, name)
    )""",
    "CREATE INDEX members_order ON members (room)",
    "CREATE INDEX members_left ON members (id) WHERE seats = 0",
    # The connections in a group.  Without a process it is one that is gone, whose place is kept until then.
    """CREATE TABLE seats (
        room INTEGER NOT NULL, connection INTEGER NOT NULL, member INTEGER NOT NULL, process INTEGER, until REAL,
        PRIMARY KEY (room, connection)
    ) WITHOUT ROWID""",
    "CREATE INDEX seats_process ON seats (process) WHERE process IS NOT NULL",
    "CREATE INDEX seats_over ON seats (until) WHERE until IS NOT NULL",
    "CREATE INDEX seats_over_in_room ON seats (room, until) WHERE until IS NOT NULL",
    "CREATE INDEX seats_kept ON seats (member, until) WHERE until IS NOT NULL",
    # used: in whole minutes, so that it changes seldom.
    """CREATE TABLE histories (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, epoch TEXT NOT NULL, last INTEGER NOT NULL, used INTEGER NOT NULL
    )""",
    "CREATE INDEX histories_used ON histories (used, id DESC)",
    """CREATE TABLE messages (
        history INTEGER NOT NULL, number INTEGER NOT NULL, until REAL NOT NULL, message BLOB NOT NULL,
        PRIMARY KEY (history, number)
    ) WITHOUT ROWID""",
    "CREATE INDEX messages_over ON messages (until)",
    # How many rows there are of what is bounded; of claims and seats those that are kept for some time.
    "CREATE TABLE counts (kind TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT INTO counts VALUES ('records', 0), ('claims', 0), ('seats', 0), ('histories', 0)",
)

_TRIGGERS = (
    """CREATE TRIGGER record_added AFTER INSERT ON records BEGIN
        UPDATE counts SET number = number + 1 WHERE kind = 'records';
    END""",
    """CREATE TRIGGER record_gone AFTER DELETE ON records BEGIN
        UPDATE counts SET number = number - 1 WHERE kind = 'records';
    END""",
    """CREATE TRIGGER claim_kept AFTER UPDATE OF until ON claims WHEN (OLD.until IS NULL) <> (NEW.until IS NULL) BEGIN
        UPDATE counts SET number = number + iif(NEW.until IS NULL, -1, 1) WHERE kind = 'claims';
    END""",
    """CREATE TRIGGER kept_claim_gone AFTER DELETE ON claims WHEN OLD.until IS NOT NULL BEGIN
        UPDATE counts SET number = number - 1 WHERE kind = 'claims';
    END""",
    """CREATE TRIGGER seat_kept AFTER UPDATE OF until ON seats WHEN (OLD.until IS NULL) <> (NEW.until IS NULL) BEGIN
        UPDATE counts SET number = number + iif(NEW.until IS NULL, -1, 1) WHERE kind = 'seats';
    END""",
    """CREATE TRIGGER kept_seat_gone AFTER DELETE ON seats WHEN OLD.until IS NOT NULL BEGIN
        UPDATE counts SET number = number - 1 WHERE kind = 'seats';
    END""",
    """CREATE TRIGGER history_added AFTER INSERT ON histories BEGIN
        UPDATE counts SET number = number + 1 WHERE kind = 'histories';
    END""",
    """CREATE TRIGGER history_gone AFTER DELETE ON histories BEGIN
        DELETE FROM messages WHERE history = OLD.id;
        UPDATE counts SET number = number - 1 WHERE kind = 'histories';
    END""",
    """CREATE TRIGGER seat_taken AFTER INSERT ON seats BEGIN
        UPDATE members SET seats = seats + 1 WHERE id = NEW.member;
        UPDATE rooms SET connections = connections + 1 WHERE id = NEW.room;
    END""",
    """CREATE TRIGGER seat_given_up AFTER DELETE ON seats BEGIN
        UPDATE members SET seats = seats - 1 WHERE id = OLD.member;
        UPDATE rooms SET connections = connections - 1 WHERE id = OLD.room;
    END""",
    """CREATE TRIGGER member_came AFTER UPDATE OF seats ON members WHEN OLD.seats = 0 BEGIN
        UPDATE rooms SET members = members + 1 WHERE id = NEW.room;
    END""",
    """CREATE TRIGGER member_went AFTER UPDATE OF seats ON members WHEN NEW.seats = 0 BEGIN
        UPDATE rooms SET members = members - 1 WHERE id = NEW.room;
    END""",
    """CREATE TRIGGER member_told AFTER DELETE ON members BEGIN
        DELETE FROM rooms WHERE id = OLD.room AND connections = 0 AND NOT EXISTS (SELECT 1 FROM members WHERE room = OLD.room);
    END""",
)

SCHEMA = _TABLES + _TRIGGERS
