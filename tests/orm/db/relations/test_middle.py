from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import peewee
import pytest

from greenimi.container.registry import Container
from greenimi.orm import ManyToMany, Model
from greenimi.pool.database.database import Database
from greenimi.pool.database.databases import make_database
from greenimi.pool.database.settings import DatabaseSettings
from tests.orm.db.conftest import Tables, every_kind
from tests.orm.db.relations.library import MODELS, Author, Book, Club, Membership, Tag, Tagging, statements


def some_members(tables: Tables) -> tuple[Club, Club]:
    tables(*MODELS)
    chess, tennis = Club.create(name="chess"), Club.create(name="tennis")
    for number in range(3):
        Author(name=f"a{number}", clubs=[chess, tennis][: number + 1]).save()
    return chess, tennis


@every_kind
def test_both_ways(tables: Tables) -> None:
    chess, tennis = some_members(tables)
    with statements() as sent:
        authors = list(Author.select().order_by(Author.id).with_(clubs=lambda clubs: clubs.order_by(Club.name)))
        assert [author.clubs for author in authors] == [[chess], [chess, tennis], [chess, tennis]]
        assert len(sent) == 2
        assert authors[1].clubs[1].through.role == "member"
    clubs = Club.select().order_by(Club.id).with_(members=lambda members: members.order_by(Author.name.desc()).limit(2))
    assert [[author.name for author in club.members] for club in clubs] == [["a2", "a1"], ["a2", "a1"]]
    assert [author.name for author in clubs[0].members] == ["a2", "a1"]
    assert Author(name="new").clubs == []


@every_kind
def test_links_come_and_go(tables: Tables) -> None:
    chess, tennis = some_members(tables)
    author: Any = Author.select().order_by(Author.id).get()
    go = Club(name="go", through=Membership(role="head"))
    author.clubs = [tennis, go, tennis]
    author.save()
    found = Author.find(author.id)
    assert found is not None
    assert [(club.name, club.through.role) for club in found.clubs] == [("tennis", "member"), ("go", "head")]
    assert Membership.select().count() == 6
    assert Membership.select_deleted().count() == 1  # as its model says
    found.clubs[0].through.role = "treasurer"
    with statements() as sent:
        found.save()
    assert sum(sql.startswith("INSERT") for sql in sent) == 0
    assert Membership.select().where(Membership.role == "treasurer").count() == 1
    author.clubs = [Club.get(Club.name == "tennis")]
    author.clubs[0].through = Membership(role="guest")
    author.save()
    assert [(club.name, club.through.role) for club in Author.get_by_id(author.id).clubs] == [("tennis", "guest")]
    assert author.delete_instance() == 1
    assert Club.select().count() == 3
    assert Membership.select().where(Membership.author == author.id).count() == 0
    assert chess.name == "chess"


def test_by_a_kind(tables: Tables) -> None:
    tables(*MODELS)
    red, blue = Tag(name="red"), Tag(name="blue")
    Author(id=None, name="a", tags=[red]).save()
    Book(title="b", tags=[red, blue]).save()
    assert [tag.name for tag in Author.get().tags] == ["red"]
    assert [tag.name for tag in Book.select().with_(tags=lambda tags: tags.order_by(Tag.name)).get().tags] == ["blue", "red"]
    with statements() as sent:
        tags = list(Tag.select().order_by(Tag.id).with_("subjects"))
        assert [tag.subjects for tag in tags] == [[Author.get(), Book.get()], [Book.get()]]
        assert len(sent) == 3 + 3
    tags[0].subjects = [Author(name="new"), *tags[0].subjects[1:]]
    tags[0].save()
    assert [getattr(subject, "name", "book") for subject in Tag.find(red.id).subjects] == ["new", "book"]  # type: ignore[union-attr]
    assert Tagging.select().count() == 3
    assert Tag(name="new").subjects == []


def test_wrong_values(tables: Tables) -> None:
    tables(*MODELS)
    for row, said in (
        (Author(name="a", clubs=Club()), r"Author\.clubs is a list, not <Club: None>"),
        (Author(name="a", clubs=[Book()]), r"Author\.clubs has rows of Club, not <Book: None>"),
        (Tag(name="a", subjects=[Club()]), r"Tag\.subjects has rows of Author or Book, not <Club: None>"),
    ):
        with pytest.raises(TypeError, match=said):
            row.save()
    assert Author.select().count() == Tag.select().count() == 0


def test_only_what_was_taken_out_is_removed(tables: Tables) -> None:
    chess, tennis = some_members(tables)
    author: Any = Author.select().where(Author.name == "a2").with_(clubs=lambda clubs: clubs.where(Club.name == "chess")).get()
    assert author.clubs == [chess]
    author.clubs.remove(chess)
    author.save()
    assert Author.get_by_id(author.id).clubs == [tennis]
    author.clubs.append(chess)
    author.save()
    assert len(Author.get_by_id(author.id).clubs) == 2
    author = Author.get_by_id(author.id)
    author.clubs = [Club(name="go")]  # whatever is there
    author.save()
    assert [club.name for club in Author.get_by_id(author.id).clubs] == ["go"]


class Song(Model):
    name = peewee.CharField()
    lists = ManyToMany(lambda: Playlist, lambda: Entry, left="song", right="playlist", save=True, delete=True)


class Playlist(Model):
    name = peewee.CharField()
    songs = ManyToMany(lambda: Song, lambda: Entry, left="playlist", right="song")

    class Meta:
        database = "elsewhere"


class Entry(Model):
    song = peewee.IntegerField()
    playlist = peewee.IntegerField()


@pytest.fixture
def elsewhere(running: Container) -> Iterator[Any]:
    database: Any = make_database("elsewhere", DatabaseSettings(url="sqlite:///:memory:"))
    running.add(Database, database, "elsewhere")
    yield database
    database.stop()


def test_across_databases(elsewhere: Any, tables: Tables) -> None:
    tables(Song, Entry)
    elsewhere.create_tables([Playlist])
    loud, calm = Playlist(name="loud"), Playlist(name="calm")
    Song(name="one", lists=[loud, calm]).save()
    Song(name="two", lists=[loud]).save()
    songs = Song.select().order_by(Song.id).with_(lists=lambda lists: lists.order_by(Playlist.name))
    assert [[each.name for each in song.lists] for song in songs] == [["calm", "loud"], ["loud"]]
    assert [[each.through.song for each in song.lists] for song in songs] == [[1, 1], [2]]
    playlists = Playlist.select().order_by(Playlist.id).with_("songs.lists")
    assert [[[each.name for each in song.lists] for song in playlist.songs] for playlist in playlists] == [
        [["loud", "calm"], ["loud"]],
        [["loud", "calm"]],
    ]
    with pytest.raises(ValueError, match="lists: a limit for each row does not go across databases"):
        list(Song.select().with_(lists=lambda lists: lists.limit(1)))
    songs[0].delete_instance()
    assert (Entry.select().count(), Playlist.select().count()) == (1, 2)
