"""What lies in Salesforce from the start: the org of the demo's company, and an empty one without Enhanced Email."""

from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.salesforce_org import Salesforce

_CUSTOMERS = (
    (
        {"FirstName": "Maya", "LastName": "Lindqvist", "Email": "maya.lindqvist@northwind.example"},
        "Northwind",
        {"Name": "Northwind: pilot in Malmö", "StageName": "Proposal/Price Quote", "Amount": 18000},
    ),
    (
        {"FirstName": "Tomás", "LastName": "Oliveira", "Email": "tomas@oliveira-logistica.example"},
        "Oliveira Logística",
        {"Name": "Oliveira Logística: 40 seats", "StageName": "Negotiation/Review", "Amount": 24000},
    ),
    (
        {"FirstName": "Priya", "LastName": "Raman", "Email": "priya.raman@heliotrope.example"},
        "Heliotrope",
        {"Name": "Heliotrope: evaluation", "StageName": "Qualification", "Amount": 31000},
    ),
)
"""Contact, account and open opportunity."""

_RAVI = Account(
    vendor=Vendor.SALESFORCE,
    email="ravi.menon@brightwave.example",
    name="Ravi Menon",
    subject="005gL0000000303QAA",
)


def seed(salesforce: Salesforce, people: list[Account]) -> None:
    """Fill `salesforce`; every one of `people` is a user of their org."""
    for account in people:
        salesforce.org(account.tenant).user(account)
    brightwave = salesforce.org("00DgL0000000001UAA")
    brightwave.name, brightwave.instance = "Brightwave", "brightwave"
    contoso = salesforce.org("00DgL0000000002UAA")
    contoso.name, contoso.instance, contoso.enhanced_email = "Contoso", "contoso", False
    brightwave.user(_RAVI)
    owner = brightwave.records.of("User")[0].id
    for contact_fields, company_name, opportunity_fields in _CUSTOMERS:
        company = brightwave.keep("Account", Name=company_name, OwnerId=owner)
        contact = brightwave.keep("Contact", **contact_fields, AccountId=company.id, OwnerId=owner)
        opportunity = brightwave.keep(
            "Opportunity",
            **opportunity_fields,
            AccountId=company.id,
            OwnerId=owner,
            CloseDate="2027-01-31",
            IsClosed=False,
            IsWon=False,
        )
        brightwave.keep(
            "OpportunityContactRole",
            OpportunityId=opportunity.id,
            ContactId=contact.id,
            Role="Decision Maker",
            IsPrimary=True,
        )
    brightwave.keep(
        "Lead",
        FirstName="Lena",
        LastName="Fischer",
        Email="lena.fischer@lichtung.example",
        Company="Lichtung",
        Status="Open - Not Contacted",
        OwnerId=owner,
        IsConverted=False,
    )
