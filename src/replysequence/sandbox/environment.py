"""The app's settings that point it at a sandbox."""

from replysequence.sandbox.world import (
    GOOGLE_CLIENT_ID,
    GOOGLE_CLIENT_SECRET,
    HUBSPOT_CLIENT_ID,
    HUBSPOT_CLIENT_SECRET,
    MICROSOFT_CLIENT_ID,
    MICROSOFT_CLIENT_SECRET,
    RESEND_API_KEY,
    RESEND_FROM,
    RESEND_WEBHOOK_SECRET,
    SALESFORCE_CLIENT_ID,
    SALESFORCE_CLIENT_SECRET,
)


def environment(base_url: str) -> dict[str, str]:
    """Every environment variable that makes the app use the sandbox at `base_url`, not the real vendors."""
    base = base_url.rstrip("/")
    return {
        "GOOGLE_CLIENT_ID": GOOGLE_CLIENT_ID,
        "GOOGLE_CLIENT_SECRET": GOOGLE_CLIENT_SECRET,
        "GOOGLE_AUTHORIZE_URL": f"{base}/o/oauth2/v2/auth",
        "GOOGLE_TOKEN_URL": f"{base}/token",
        "GOOGLE_REVOKE_URL": f"{base}/revoke",
        "GOOGLE_USERINFO_URL": f"{base}/v1/userinfo",
        "GOOGLE_JWKS_URL": f"{base}/oauth2/v3/certs",
        "GOOGLE_ISSUER": base,
        "GMAIL_API_URL": base,
        "GMAIL_WEB_URL": base,
        "MICROSOFT_CLIENT_ID": MICROSOFT_CLIENT_ID,
        "MICROSOFT_CLIENT_SECRET": MICROSOFT_CLIENT_SECRET,
        "MICROSOFT_AUTHORIZE_URL": f"{base}/common/oauth2/v2.0/authorize",
        "MICROSOFT_TOKEN_URL": f"{base}/common/oauth2/v2.0/token",
        "MICROSOFT_JWKS_URL": f"{base}/common/discovery/v2.0/keys",
        "MICROSOFT_ISSUER": f"{base}/{{tenantid}}/v2.0",
        "GRAPH_API_URL": f"{base}/v1.0",
        "OUTLOOK_WEB_URL": f"{base}/mail",
        "OUTLOOK_PERSONAL_WEB_URL": f"{base}/mail/0",
        "RESEND_API_KEY": RESEND_API_KEY,
        "RESEND_FROM": RESEND_FROM,
        "RESEND_WEBHOOK_SECRET": RESEND_WEBHOOK_SECRET,
        "RESEND_API_URL": base,
        "HUBSPOT_CLIENT_ID": HUBSPOT_CLIENT_ID,
        "HUBSPOT_CLIENT_SECRET": HUBSPOT_CLIENT_SECRET,
        "HUBSPOT_AUTHORIZE_URL": f"{base}/oauth/authorize",
        "HUBSPOT_API_URL": base,
        "SALESFORCE_CLIENT_ID": SALESFORCE_CLIENT_ID,
        "SALESFORCE_CLIENT_SECRET": SALESFORCE_CLIENT_SECRET,
        "SALESFORCE_LOGIN_URL": base,
    }
