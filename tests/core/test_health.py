"""Alive touches nothing; ready says what is missing, in the envelope."""

from __future__ import annotations

import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from rest_framework.test import APIClient

from core import health
from tests.envelope import faults_in
from tests.services.wire import refused_url


@pytest.fixture(autouse=True)
def not_yet_migrated(monkeypatch):
    """Forget what an earlier test found out: readiness remembers for the life of the process."""
    health._migrated.clear()
    yield
    health._migrated.clear()


@pytest.fixture
def no_redis(settings) -> None:
    settings.REDIS_URL = ""


@pytest.mark.parametrize("path", ["/health/live", "/health/live/"])
def test_a_live_process_says_so_without_asking_anybody(client, path, django_assert_num_queries):
    """No `db` fixture: a query would fail here."""
    response = client.get(path)

    assert (response.status_code, response.json()["data"]) == (200, None)


def test_a_process_that_can_work_is_ready(client, db, no_redis):
    response = client.get("/health/ready")

    assert (response.status_code, response.json()["data"]) == (200, {"degraded": []})


def test_a_pending_migration_is_not_ready(client, db, no_redis):
    MigrationRecorder(connection).record_unapplied("payments", "0002_walls")

    response = client.get("/health/ready")

    assert (response.status_code, response.json()["code"]) == (503, "not_ready")
    assert response.json()["data"] == {"failed": ["migrations"]}
    assert faults_in(response) == []
    assert response.headers["Retry-After"] == "2"


def test_readiness_notices_a_migration_that_was_applied_meanwhile(client, db, no_redis):
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("payments", "0002_walls")
    assert client.get("/health/ready").status_code == 503

    recorder.record_applied("payments", "0002_walls")

    assert client.get("/health/ready").status_code == 200


@pytest.mark.django_db
def test_a_database_that_is_away_is_not_ready(client, no_redis, monkeypatch):
    def refuse() -> None:
        raise OperationalError("connection refused: db.internal:5432")

    monkeypatch.setattr(connection, "cursor", refuse)

    response = client.get("/health/ready")

    assert (response.status_code, response.json()["code"]) == (503, "not_ready")
    assert response.json()["data"] == {"failed": ["database"]}
    assert b"db.internal" not in response.content


def test_a_redis_that_is_away_degrades_and_does_not_stop(client, db, settings):
    settings.REDIS_URL = refused_url().replace("http://", "redis://")

    response = client.get("/health/ready")

    assert (response.status_code, response.json()["data"]) == (200, {"degraded": ["redis"]})


def test_a_redis_that_answers_degrades_nothing(client, db):
    """On the Redis of this run; on SQLite there is none, and so nothing to miss."""
    assert client.get("/health/ready").json()["data"] == {"degraded": []}


def test_health_needs_no_token_and_minds_no_bad_one(db, no_redis):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION="Bearer nonsense")

    assert client.get("/health/ready").status_code == 200
    assert client.get("/health/live").status_code == 200
