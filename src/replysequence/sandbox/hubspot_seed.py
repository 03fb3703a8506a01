"""What lies in HubSpot from the start: the portal of the demo's company, and another one that is empty."""

from replysequence.sandbox.hubspot_portal import HubSpot, Owner

_CUSTOMERS = (
    (
        {
            "email": "maya.lindqvist@northwind.example",
            "firstname": "Maya",
            "lastname": "Lindqvist",
            "jobtitle": "Head of Operations",
            "hs_additional_emails": "maya@northwind.example",
        },
        {"name": "Northwind", "domain": "northwind.example"},
        {"dealname": "Northwind: pilot in Malmö", "dealstage": "qualifiedtobuy", "amount": "18000"},
    ),
    (
        {
            "email": "tomas@oliveira-logistica.example",
            "firstname": "Tomás",
            "lastname": "Oliveira",
            "jobtitle": "Managing Director",
        },
        {"name": "Oliveira Logística", "domain": "oliveira-logistica.example"},
        {"dealname": "Oliveira Logística: 40 seats", "dealstage": "contractsent", "amount": "24000"},
    ),
    (
        {
            "email": "priya.raman@heliotrope.example",
            "firstname": "Priya",
            "lastname": "Raman",
            "jobtitle": "IT Security",
        },
        {"name": "Heliotrope", "domain": "heliotrope.example"},
        {"dealname": "Heliotrope: evaluation", "dealstage": "appointmentscheduled", "amount": "31000"},
    ),
)
"""Contact, company and open deal."""


def seed(hubspot: HubSpot) -> None:
    """Fill `hubspot`."""
    brightwave, contoso = hubspot.portal("24681357"), hubspot.portal("13572468")
    brightwave.name, brightwave.domain = "Brightwave", "brightwave.example"
    contoso.name, contoso.domain = "Contoso", "contoso.example"
    dana, ravi = ("71230001", "5550101", "Dana", "Reyes"), ("71230002", "5550303", "Ravi", "Menon")
    for owner_id, user_id, first, last in (dana, ravi):
        brightwave.owners.append(_owner(owner_id, user_id, first, last, domain=brightwave.domain))
    contoso.owners.append(_owner("71230009", "5550202", "Dana", "Reyes", domain=contoso.domain))
    for contact_fields, company_fields, deal_fields in _CUSTOMERS:
        owned = {"hubspot_owner_id": brightwave.owners[0].id}
        company = brightwave.keep("companies", **company_fields, **owned)
        contact = brightwave.keep("contacts", **contact_fields, **owned, company=company_fields["name"])
        deal = brightwave.keep("deals", **deal_fields, **owned, pipeline="default", hs_is_closed="false")
        brightwave.link(contact, company)
        brightwave.link(contact, deal)
        brightwave.link(company, deal)


def _owner(owner_id: str, user_id: str, first: str, last: str, *, domain: str) -> Owner:
    email = f"{first}.{last}@{domain}".lower()
    return Owner(id=owner_id, user_id=user_id, email=email, first_name=first, last_name=last)
