"""Examples for the schema."""

USER_EXAMPLE = {
    "id": "6f1c1b1e-6f0e-4b39-9d5a-0a8d3f5f1c11",
    "email": "asha@example.com",
    "first_name": "Asha",
    "last_name": "Juma",
    "phone": "+255712345678",
    "language": "en",
    "is_email_verified": True,
    "is_phone_verified": True,
    "created_at": "2026-11-20T09:00:00Z",
}
PERSON_EXAMPLE = {
    "id": "6f1c1b1e-6f0e-4b39-9d5a-0a8d3f5f1c11",
    "email": "juma@example.com",
    "first_name": "Juma",
    "last_name": "Ali",
    "phone": "+255712345678",
    "is_email_verified": True,
    "is_phone_verified": True,
    "role": "admin",
    "joined_at": "2026-11-20T09:00:00Z",
}
TENANT_EXAMPLE = {"id": "b3a1f2e4-1d5c-4a53-8f0b-1f6d2a7c9e10", "name": "Asha Juma", "role": "owner"}
ME_EXAMPLE = {**USER_EXAMPLE, "tenant": TENANT_EXAMPLE}
SIGNED_IN_EXAMPLE = {
    "user": USER_EXAMPLE,
    "tenant": TENANT_EXAMPLE,
    "transport": "body",
    "access": "eyJhbGciOiJIUzI1NiJ9.access.signature",
    "refresh": "eyJhbGciOiJIUzI1NiJ9.refresh.signature",
    "csrf_token": None,
    "access_expires_at": "2026-11-20T09:15:00Z",
    "refresh_expires_at": "2026-12-04T09:00:00Z",
}
PASSWORD_EXAMPLE = "kahawa-na-chai-7"  # noqa: S105  an example for the schema
CODE_EXAMPLE = "492039"
RECOVERY_CODE_EXAMPLE = "6093-1842"
CHALLENGE_EXAMPLE = {
    "challenge": "5f6a2a0c-2d53-4a7e-9c0e-9d0b8c7a6f11",
    "expires_at": "2026-11-20T09:10:00Z",
    "resend_after": 60,
}
SESSION_EXAMPLE = {
    "id": "2734954d-580c-4ba4-98d0-4d614fcea0ff",
    "transport": "body",
    "methods": ["pwd", "otp"],
    "user_agent": "FarajaApp/1.4 (Android 15)",
    "created_at": "2026-11-20T09:00:00Z",
    "last_used_at": "2026-11-20T09:14:00Z",
    "is_current": True,
}
CODE_VERIFIER_EXAMPLE = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # with its challenge, from RFC 7636
CODE_CHALLENGE_EXAMPLE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
SOCIAL_CODE_EXAMPLE = "0b6f3f0f7f0e4b399d5a0a8d3f5f1c1159c4d9e1f6c07d2a"
LINKED_ACCOUNT_EXAMPLE = {
    "id": "41a8f1d9-1c54-5d0a-9d8a-3b0a5b7c9e10",
    "provider": "google",
    "display": "asha@example.com",
    "linked_at": "2026-11-20T09:00:00Z",
    "last_used_at": "2026-11-20T09:00:00Z",
}
CSRF_EXAMPLE = "Zm9yIGV4YW1wbGU.9b0c2f6d1e8a4b57"
EXPORT_EXAMPLE = {
    "profile": USER_EXAMPLE,
    "records": {
        "sessions": [
            {
                "id": "2734954d-580c-4ba4-98d0-4d614fcea0ff",
                "transport": "body",
                "user_agent": "FarajaApp/1.4 (Android 15)",
                "created_at": "2026-11-20T09:00:00Z",
                "last_used_at": "2026-11-20T09:14:00Z",
                "revoked_at": None,
                "revoked_reason": "",
            }
        ],
        "memberships": [
            {
                "tenant_id": TENANT_EXAMPLE["id"],
                "tenant": "Asha Juma",
                "role": "owner",
                "joined_at": "2026-11-20T09:00:00Z",
            }
        ],
        "payments": [],
    },
    "cut": [],
}
