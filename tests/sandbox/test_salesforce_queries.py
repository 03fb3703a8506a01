import pytest

from support.salesforce_app import DANA, LENA, MAYA, SalesforceApp, SalesforceVisit


@pytest.fixture
def visit(salesforce: SalesforceApp) -> SalesforceVisit:
    """Dana's connection to Brightwave's org."""
    return salesforce.visit()


def names(visit: SalesforceVisit, condition: str, kind: str = "Contact") -> list[str]:
    """The first names that a condition finds, in order of their making."""
    return [each["FirstName"] for each in visit.found(f"SELECT FirstName FROM {kind} WHERE {condition}")]


def code(visit: SalesforceVisit, soql: str) -> str:
    answer = visit.query(soql)
    assert answer.status == 400
    return str(answer.json[0]["errorCode"])


def test_a_person_is_found_by_address_without_regard_to_case(visit: SalesforceVisit) -> None:
    [contact] = visit.found(
        f"select id, name, accountid, ownerid from contact where email = '{MAYA.upper()}' limit 2"
    )

    assert contact["Name"] == "Maya Lindqvist"
    assert contact["attributes"]["type"] == "Contact"
    assert contact["attributes"]["url"] == f"/services/data/v66.0/sobjects/Contact/{contact['Id']}"
    assert contact.keys() == {"attributes", "Id", "Name", "AccountId", "OwnerId"}
    assert names(visit, f"Email = '{LENA}' AND IsConverted = false", "Lead") == ["Lena"]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("FirstName = 'Maya' OR FirstName = 'Priya'", ["Maya", "Priya"]),
        ("FirstName != 'Maya'", ["Tomás", "Priya"]),
        ("FirstName <> 'Maya' AND LastName = 'raman'", ["Priya"]),
        ("FirstName IN ('maya', 'tomás')", ["Maya", "Tomás"]),
        ("FirstName NOT IN ('Maya')", ["Tomás", "Priya"]),
        ("NOT FirstName = 'Maya'", ["Tomás", "Priya"]),
        ("(FirstName = 'Maya' OR FirstName = 'Priya') AND LastName = 'Raman'", ["Priya"]),
        ("Email LIKE '%@north_ind.example'", ["Maya"]),
        (r"Email LIKE '%north\_ind%'", []),
        ("Title = null", ["Maya", "Tomás", "Priya"]),
        ("Title != null", []),
        ("Account.Name = 'Northwind'", ["Maya"]),
        ("CreatedDate < 2100-01-01T00:00:00Z", ["Maya", "Tomás", "Priya"]),
        ("CreatedDate > 2100-01-01T00:00:00+01:00", []),
        ("LastName >= 'O'", ["Tomás", "Priya"]),
    ],
)
def test_a_condition_finds_who_meets_it(visit: SalesforceVisit, condition: str, found: list[str]) -> None:
    assert names(visit, condition) == found


def test_days_and_numbers_are_compared_as_such(visit: SalesforceVisit) -> None:
    condition = "CloseDate <= 2027-01-31 AND Amount > 20000 AND IsClosed = false"
    found = visit.found(f"SELECT Name FROM Opportunity WHERE {condition} ORDER BY Amount DESC")

    assert [each["Name"] for each in found] == ["Heliotrope: evaluation", "Oliveira Logística: 40 seats"]


def test_ids_are_the_same_in_either_length(visit: SalesforceVisit) -> None:
    maya = visit.id_of(MAYA)

    assert names(visit, f"Id = '{maya[:15]}'") == ["Maya"]
    assert code(visit, "SELECT Id FROM Contact WHERE Id = 'nonsense'") == "INVALID_QUERY_FILTER_OPERATOR"


def test_a_relationship_is_followed_and_shown(visit: SalesforceVisit) -> None:
    [contact] = visit.found(f"SELECT Account.Name, Owner.Email FROM Contact WHERE Email = '{MAYA}'")
    visit.make("Contact", LastName="Alone", Email="alone@x.example")
    [alone] = visit.found("SELECT Account.Name FROM Contact WHERE Email = 'alone@x.example'")

    assert contact["Account"]["Name"] == "Northwind"
    assert contact["Account"]["attributes"]["type"] == "Account"
    assert contact["Owner"]["Email"] == DANA
    assert alone["Account"] is None


def test_results_are_ordered_limited_and_skipped(visit: SalesforceVisit) -> None:
    soql = "SELECT FirstName FROM Contact ORDER BY LastName DESC NULLS LAST, Id ASC LIMIT 2 OFFSET 1"
    answer = visit.query(soql).json

    assert [each["FirstName"] for each in answer["records"]] == ["Tomás", "Maya"]
    assert (answer["totalSize"], answer["done"]) == (2, True)


@pytest.mark.parametrize("address", ["o'brien@x.example", "back\\slash@x.example", 'qu"ote@x.example'])
def test_a_value_must_be_escaped(visit: SalesforceVisit, address: str) -> None:
    escaped = address.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"')
    visit.make("Contact", LastName="O'Brien", Email="o'brien@x.example")

    found = visit.found(f"SELECT LastName FROM Contact WHERE Email = '{escaped}'")

    assert [each["LastName"] for each in found] == (["O'Brien"] if address.startswith("o") else [])
    if '"' not in address:
        assert code(visit, f"SELECT Id FROM Contact WHERE Email = '{address}'") == "MALFORMED_QUERY"


@pytest.mark.parametrize(
    "soql",
    [
        "",
        "SELECT",
        "SELECT FROM Contact",
        "SELECT Id Contact",
        "SELECT Id FROM Contact WHERE",
        "SELECT Id FROM Contact WHERE Email",
        "SELECT Id FROM Contact WHERE Email = ",
        "SELECT Id FROM Contact WHERE Email = maya",
        "SELECT Id FROM Contact WHERE Email = 'a' OR Email = 'b' AND Email = 'c'",
        "SELECT Id FROM Contact WHERE (Email = 'a'",
        "SELECT Id FROM Contact WHERE Email IN 'a'",
        "SELECT Id FROM Contact WHERE Email = 'a' LIMIT many",
        "SELECT Id FROM Contact WHERE Email = 'a\\x'",
        "SELECT Id FROM Contact WHERE Email = 'a' OR Email = 'b'' ",
        "SELECT Id FROM Contact ORDER Email",
        "SELECT Id FROM Contact ORDER BY Email NULLS MIDDLE",
        "SELECT Id FROM Contact; DELETE",
        "SELECT Id, FROM Contact",
    ],
)
def test_a_query_that_cannot_be_read_is_malformed(visit: SalesforceVisit, soql: str) -> None:
    assert code(visit, soql) == "MALFORMED_QUERY"


@pytest.mark.parametrize(
    ("soql", "error"),
    [
        ("SELECT Colour FROM Contact", "INVALID_FIELD"),
        ("SELECT Friend.Name FROM Contact", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE Colour = 'red'", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE Email = 7", "INVALID_FIELD"),
        ("SELECT Id FROM Lead WHERE IsConverted = 'false'", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE CreatedDate > '2026-11-22T12:00:00Z'", "INVALID_FIELD"),
        ("SELECT Id FROM Task WHERE Description LIKE '%x%'", "INVALID_FIELD"),
        ("SELECT Id FROM EmailMessage WHERE TextBody = 'x'", "INVALID_FIELD"),
        ("SELECT Id FROM Cat", "INVALID_TYPE"),
    ],
)
def test_a_query_for_what_is_not_there_is_refused(visit: SalesforceVisit, soql: str, error: str) -> None:
    assert code(visit, soql) == error
