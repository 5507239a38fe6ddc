"""Settings shared by every environment. Whatever differs by environment stands in dev, test or prod.

Every variable read here is listed in `.env.example`; a test compares the two.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from django.utils.translation import gettext_lazy as _

from config.settings import messaging
from config.settings.admin import UNFOLD as UNFOLD
from config.settings.environment import ROOT, env
from config.settings.payouts import limits_by_currency, shared_payouts

# --- Django ---------------------------------------------------------------------------------------------------------

BASE_DIR: Path = ROOT

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.import_export",
    "core.admin_config.OperatorAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    # Beneath our own face. None of its pages is routed, and the tables of `account` stay empty.
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "corsheaders",
    "rest_framework",
    "core",  # before drf_spectacular, one of whose templates it replaces
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "import_export",
    "core.audit",
    "core.idempotency",
    "core.outbox",
    "core.throttling",
    "apps.common",
    "apps.accounts",
    "apps.tenants",
    "apps.payments",
    "apps.messaging",
]

MIDDLEWARE = [
    "core.middleware.RequestMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "core.middleware.EnvelopeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    # Sessions, CSRF and messages serve the admin; API paths skip them.
    "core.middleware.AdminOnlySessionMiddleware",
    "core.middleware.AdminOnlyCsrfMiddleware",
    "core.middleware.AdminOnlyAuthenticationMiddleware",
    "core.middleware.AdminOnlyMessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",  # allauth refuses to start without it
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
# Whether hot queries are prepared at the server. Not behind PgBouncer before 1.21 in transaction mode.
DATABASE_PREPARES = env.bool("DATABASE_PREPARES", default=True)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"
APPEND_SLASH = False  # a redirect would drop the body of a POST; an unknown path is a 404 in the envelope
SILENCED_SYSTEM_CHECKS = [
    "auth.E003",  # an e-mail address is unique once it is proven; by name Django gets its holder
    "security.W004",  # HSTS is set in prod.py, and only there
]

# OWASP's minimum for argon2id: Django's default costs ten times as much memory and time per login.
PASSWORD_HASHERS = ["core.hashers.OwaspArgon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 8}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("sw", _("Swahili"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
# For the admin: to the second, sortable by eye, and one line wide.
DATETIME_FORMAT = "Y-m-d H:i:s"
FORMAT_MODULE_PATH = ["config.formats"]

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"

DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
API_MAX_BODY_BYTES = 1024 * 1024
API_MAX_JSON_DEPTH = 32
CALLBACK_MAX_BODY_BYTES = 256 * 1024

PHONE_REGION = env.str("PHONE_REGION", default="TZ")  # whose local spellings (0712...) are understood

# The admin looks across tenants. On PostgreSQL that takes a role which may bypass row-level security.
ADMIN_DATABASE = "system" if env.str("DATABASE_SYSTEM_URL", default="") else "default"

# --- Redis: the doorbell, the broker and the cache. Nothing is lost without it. -------------------------------------

REDIS_URL = env.str("REDIS_URL", default="")
CACHES: dict[str, Any] = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_connect_timeout": 0.2, "socket_timeout": 0.2},
    }
    if REDIS_URL
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}

CELERY_BROKER_URL = REDIS_URL or "memory://"
CELERY_BROKER_TRANSPORT = "core.outbox.broker.Transport" if REDIS_URL else None
CELERY_TASK_IGNORE_RESULT = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_TIMEZONE = "UTC"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 1,
    "socket_timeout": 5,
    # A publish that finds no broker fails at once, and the relay delivers the event itself. Without this kombu tries
    # for six seconds, per event. The worker's own connection has its own, patient setting.
    "max_retries": 0,
    # Tasks that beat sends acknowledge late; the sweep for lost ones has its own two knobs (kombu 5.7), without
    # which a killed worker's task is not seen for minutes.
    "visibility_timeout": 180,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
}

# --- Outbox ---------------------------------------------------------------------------------------------------------

OUTBOX_SUBSCRIBERS = "config.events.SUBSCRIBERS"
PERSONAL_DATA = "config.personal_data.PERSONAL_DATA"
# Longer than the longest a handler may take: a charge with an outdated token is five calls, each with a deadline.
OUTBOX_LEASE_SECONDS = env.int("OUTBOX_LEASE_SECONDS", default=120)
OUTBOX_POLL_SECONDS = 1.0
OUTBOX_KEEP_DONE_DAYS = 30
# Callbacks of payment gateways as they came, with the phone numbers in them, once they are processed.
INBOX_KEEP_DAYS = 90

IDEMPOTENCY_KEEP_HOURS = 72

# Lets tests kill a process at a named point (`CRASH_AT`). Refused by production settings.
CRASH_POINTS_ENABLED = False

# --- Limits ----------------------------------------------------------------------------------------------------------

# How many proxies stand before the web server and append to X-Forwarded-For. 0: nothing there is believed.
NUM_PROXIES = env.int("NUM_PROXIES", default=0)

# How long after one code the next may be asked for; what the answer to a request for one says.
OTP_RESEND_AFTER = timedelta(seconds=60)

# name: (burst, per). That many at once, and then one more each time per / burst has passed. When Redis is configured
# and away, half as many.
RATE_LIMITS: dict[str, tuple[int, timedelta]] = {
    # Wrong passwords for one account, from anywhere. One more every five minutes, so never more than five within any
    # five, and under 300 a day.
    "login_account": (5, timedelta(minutes=25)),
    # The same from a network where this account has signed in before, counted apart: whoever uses up the limit above
    # elsewhere does not lock the person out at home.
    "login_known": (5, timedelta(minutes=25)),
    # Wrong passwords from one address, for any accounts: what makes trying one password on many people slow. Not less,
    # because a whole office or a mobile operator's customers may share an address.
    "login_client": (10, timedelta(minutes=1)),
    # Registrations from one address. Each costs password hashes and a tenant.
    "register_client": (10, timedelta(hours=1)),
    # Registrations with one e-mail address: each is a mail to it, and a guess at the password of whoever has it.
    "register_account": (5, timedelta(hours=1)),
    # A session needs one refresh in a quarter of an hour; many tabs that wake together need a few more.
    "refresh_session": (60, timedelta(minutes=1)),
    # Mails with a reset link: to one account, and asked for from one address.
    "reset_account": (5, timedelta(hours=1)),
    "reset_client": (20, timedelta(hours=1)),
    # Wrong codes of a second factor for one account, by whoever has its password. A code is one of a million and three
    # of them are good at any time: 250 guesses a day find one in 1,300 days.
    "mfa_account": (10, timedelta(hours=1)),
    # The same from a network where this person has signed in before, counted apart, as for passwords.
    "mfa_known": (10, timedelta(hours=1)),
    # Switching a second factor on or off, and the codes on the way: each is a mail and ends sessions.
    "mfa_person": (20, timedelta(hours=1)),
    # Guesses at the current password, or at a code, by whoever holds a stolen session.
    "password_person": (5, timedelta(minutes=15)),
    # Starting to sign in through a provider, and coming back, from one address: each start is a row.
    "social_client": (60, timedelta(minutes=1)),
    # Confirmation mails that a person sends to themselves.
    "link_person": (5, timedelta(hours=1)),
    # Each reads everything about a person, in every tenant of theirs.
    "export_person": (5, timedelta(hours=1)),
    # Codes texted to one number, by whomever and for whatever: each costs money, disturbs somebody, and is five guesses
    # out of a million. So fewer than a hundred guesses a day.
    "otp_resend": (1, OTP_RESEND_AFTER),
    "otp_phone": (5, timedelta(hours=1)),
    "otp_phone_daily": (10, timedelta(days=1)),
    # The same, asked for from one address by people who are not signed in, and by one who is.
    "otp_client": (10, timedelta(hours=1)),
    "otp_person": (5, timedelta(hours=1)),
    # Codes to the numbers of one prefix (all but the last four digits), to one country, and at all. Whether somebody
    # has the number is not asked, so these count every request. Half at once and the other half over the time, so that
    # no hour sees more than 20 codes to a prefix, and no 24 hours more than OTP_COUNTRY_DAILY and OTP_DAILY.
    "otp_prefix": (10, timedelta(hours=1)),
    "otp_country": (env.int("OTP_COUNTRY_DAILY", default=5_000) // 2 or 1, timedelta(days=1)),
    "otp_platform": (env.int("OTP_DAILY", default=10_000) // 2 or 1, timedelta(days=1)),
    # Wrong codes from one address, whoever was asked to prove what.
    "otp_guess_client": (10, timedelta(minutes=1)),
    # Each is a mail or a text to a stranger, and a text costs money.
    "invitations_person": (30, timedelta(hours=1)),
    # Changing where an organisation's money goes, and the addresses on the way.
    "gateway_account_person": (30, timedelta(hours=1)),
    # Each is a push to somebody's phone. A shop that sells more than one thing a second sets PAYMENTS_PER_MINUTE.
    "payments_person": (env.int("PAYMENTS_PER_MINUTE", default=60), timedelta(minutes=1)),
    # Each sends money out. A payroll that needs more in a minute sets PAYOUTS_PER_MINUTE.
    "refunds_person": (30, timedelta(minutes=1)),
    "payouts_person": (env.int("PAYOUTS_PER_MINUTE", default=30), timedelta(minutes=1)),
    # Each is a text or a mail to somebody, and a batch is up to a hundred of them. What they may cost is the budgets'
    # question.
    "messages_person": (60, timedelta(minutes=1)),
    "message_batches_person": (10, timedelta(minutes=1)),
    # Each may be a question to the gateway, which answers at its leisure.
    "balance_person": (30, timedelta(minutes=1)),
}

# --- API ------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apps.tenants.authentication.ApiKeyAuthentication",
        "apps.accounts.authentication.SessionTokenAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["core.renderers.EnvelopeJSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["core.parsers.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "core.openapi.EnvelopeAutoSchema",
    "EXCEPTION_HANDLER": "core.exception_handler.exception_handler",
    "NON_FIELD_ERRORS_KEY": "non_field_errors",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Faraja API",
    "VERSION": "1",
    "DESCRIPTION": (
        "Accounts, payments and messaging over REST. Every answer is one envelope: `status`, `message`, `data`, and on "
        "errors `code` and `errors`. Programs read `code`, which never changes; `message` is for people and follows "
        "`Accept-Language` (English, Swahili). Every answer carries `X-Request-ID`."
    ),
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    # In the order in which a reader needs them.
    "TAGS": [
        {"name": "auth", "description": "Register, sign in, stay signed in, sign out."},
        {"name": "payments", "description": "Ask a customer's phone for money and follow what becomes of it."},
        {"name": "refunds", "description": "Send money of a payment back to the customer."},
        {"name": "payouts", "description": "Send money to phones and bank accounts."},
        {"name": "ledger", "description": "Every movement of money, its sums, and what a gateway says you have."},
        {"name": "messaging", "description": "Wordings of messages, and what a person wants to hear."},
        {"name": "notifications", "description": "What to show in the app to whoever is signed in."},
        {"name": "users", "description": "The people of an organisation."},
        {"name": "tenants", "description": "Organisations: members, invitations, keys for machines."},
        {"name": "callbacks", "description": "For providers: where they report."},
        {"name": "health", "description": "For load balancers and for whoever looks around."},
    ],
    "ENUM_NAME_OVERRIDES": {
        "RoleEnum": "apps.tenants.models.Membership.Role",
        "ScopeEnum": "apps.tenants.scopes.Scope",
        "InvitedRoleEnum": "apps.tenants.models.Invitation.Role",
        "PaymentStatusEnum": "apps.payments.derivation.PaymentStatus",
        "PaymentMethodEnum": "apps.payments.methods.METHODS",
        "SignInMethodEnum": "apps.accounts.methods.Method",
        "TransferStatusEnum": "apps.payments.transfers.ShownStatus",
        "MessageKindEnum": "apps.messaging.kinds.MessageKind",
        "LedgerKindEnum": "apps.payments.models.ledger.LedgerLine.Kind",
        "InvitationStatusEnum": "apps.tenants.models.InvitationStatus",
        "ChannelEnum": "apps.messaging.channels.Channel",
        "MessageChannelEnum": "apps.messaging.models.messages.Message.Channel",
        "RequestedKindEnum": "apps.messaging.serializers.messages.KINDS",
        "MessageStatusEnum": "apps.messaging.progress.MessageStatus",
        "AuditActionEnum": "core.audit.actions.TENANT_ACTIONS",
        "ActorKindEnum": "core.audit.actions.ActorKind",
    },
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "PREPROCESSING_HOOKS": ["core.openapi.only_versioned_paths"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "core.openapi.wrap_in_envelope",
    ],
    "SWAGGER_UI_SETTINGS": {"persistAuthorization": True, "displayRequestDuration": True, "tryItOutEnabled": True},
}

CORS_ALLOW_CREDENTIALS = True
CORS_ALLOW_HEADERS = [
    "accept",
    "accept-language",
    "authorization",
    "content-type",
    "idempotency-key",
    "if-none-match",
    "x-csrf-token",
    "x-request-id",
]
CORS_EXPOSE_HEADERS = ["X-Request-ID", "Retry-After", "Idempotent-Replayed", "ETag"]

# --- Sessions and tokens --------------------------------------------------------------------------------------------

AUTH_ACCESS_LIFETIME = timedelta(minutes=15)
AUTH_REFRESH_LIFETIME = timedelta(days=14)  # idle
AUTH_SESSION_LIFETIME = timedelta(days=90)  # absolute
# Two tabs may refresh with the same token; within this time the second gets the first one's successor.
AUTH_REFRESH_GRACE = timedelta(seconds=10)
AUTH_COOKIE_SECURE = True
# How long a proof of identity in a session is fresh enough for what a stolen token must not be able to do.
AUTH_STEP_UP_LIFETIME = timedelta(minutes=10)
# How long mailed links are good, by purpose.
AUTH_LINK_LIFETIME = {
    "verify_email": timedelta(days=3),
    "change_email": timedelta(hours=1),
    "reset_password": timedelta(minutes=30),
}
# How long a person may take the deletion of their account back.
ACCOUNT_DELETION_GRACE = timedelta(days=env.int("ACCOUNT_DELETION_GRACE_DAYS", default=14))
INVITATION_LIFETIME = timedelta(days=7)
OTP_LIFETIME = timedelta(minutes=10)
OTP_MAX_GUESSES = 5

# Between the first and the second factor of a sign-in, and between showing a secret and its first code.
MFA_CHALLENGE_LIFETIME = timedelta(minutes=5)
MFA_SETUP_LIFETIME = timedelta(minutes=30)
# Read by django-allauth: one step of 30 seconds early or late is the same minute on another clock.
MFA_ADAPTER = "apps.accounts.mfa_adapter.MfaAdapter"
MFA_TOTP_ISSUER = env.str("MFA_ISSUER", default="Faraja")
MFA_TOTP_TOLERANCE = 1
# Whether staff need a second factor for the admin. Whoever has one is always asked for it.
ADMIN_REQUIRES_MFA = env.bool("ADMIN_REQUIRES_MFA", default=False)

# Earlier values of SECRET_KEY, which still open what they sealed and prove what they signed.
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
# What encrypts secrets that have to be read again (`core.sealing`): the first one seals, all of them open. Without any,
# a key derived from SECRET_KEY.
ENCRYPTION_KEYS = env.list("ENCRYPTION_KEYS", default=[])
# Where the API is for others: callbacks of payment gateways are told to come there.
PUBLIC_URL = env.str("PUBLIC_URL", default="http://127.0.0.1:8000").rstrip("/")
# Where mailed links lead: the web frontend, which hands the token to the API.
FRONTEND_URL = env.str("FRONTEND_URL", default="http://localhost:3000").rstrip("/")


# The keys that sign and check tokens (`core.keyring`, docs/keys.md). Without any: one HS256 key, JWT_SIGNING_KEY.
JWT_KEYS = env.str("JWT_KEYS", default="")

# simplejwt's settings. Keys come from the ring (`apps.accounts.token_backend`), so its own backend has none and can do
# nothing; rotation and revocation are ours too (`apps.accounts.services.sessions`).
SIMPLE_JWT = {
    "SIGNING_KEY": None,
    "ISSUER": env.str("JWT_ISSUER", default="faraja"),
    "AUDIENCE": env.str("JWT_AUDIENCE", default="faraja-api"),
    "LEEWAY": 30,
    "ACCESS_TOKEN_LIFETIME": AUTH_ACCESS_LIFETIME,
    "REFRESH_TOKEN_LIFETIME": AUTH_REFRESH_LIFETIME,
    "USER_ID_CLAIM": "sub",
    "TOKEN_TYPE_CLAIM": "typ",
    "AUTH_TOKEN_CLASSES": ("apps.accounts.tokens.AccessToken",),
    "UPDATE_LAST_LOGIN": False,
}

# --- Signing in through others --------------------------------------------------------------------------------------

SOCIALACCOUNT_ADAPTER = "services.oauth.wire.SocialAccountAdapter"
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_QUERY_EMAIL = True
SOCIALACCOUNT_EMAIL_AUTHENTICATION = False  # whose address it is, is decided in apps.accounts.services.social
SOCIALACCOUNT_REQUESTS_TIMEOUT = 5  # seconds of silence from a provider
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*"]
ACCOUNT_EMAIL_VERIFICATION = "none"  # mails about addresses are ours

# How long a person may take at the provider; how long the frontend has to exchange the code that they bring back; how
# long for asking them for an e-mail address when the provider has told none.
SOCIAL_FLOW_LIFETIME = timedelta(minutes=10)
SOCIAL_CODE_LIFETIME = timedelta(seconds=60)
SOCIAL_CONTINUATION_LIFETIME = timedelta(minutes=10)


def social_redirects(*, app: str = "") -> dict[str, str]:
    """Where a person may be sent back to, by name: SOCIAL_REDIRECTS, else the frontend (and `app`, a deep link)."""
    found = [each.strip().partition("=") for each in env.list("SOCIAL_REDIRECTS", default=[])]
    if not found:
        return {"web": f"{FRONTEND_URL}/social"} | ({"app": app} if app else {})
    return {name.strip(): url.strip() for name, _equals, url in found}


# --- Payments -------------------------------------------------------------------------------------------------------

# How long a customer has, unless the merchant says otherwise: for a push, and for a page.
PAYMENT_EXPIRY = timedelta(minutes=30)
PAYMENT_PAGE_EXPIRY = timedelta(hours=24)
# Up to this amount (smallest unit, by currency) a payment is believed when its callback carries a secret of the charge
# but nothing protects its content; above it a person looks. What stands for no currency is never believed.
PAYMENT_TOKEN_LIMIT: dict[str, int] = {
    currency: int(amount) for currency, amount in env.dict("PAYMENT_TOKEN_LIMIT", default={"TZS": "5000000"}).items()
}
# A request that starts a page asks the gateway for its address: so long it waits, and so many do in one process.
PAYMENT_INLINE_SECONDS = 5.0
PAYMENT_INLINE_CALLS = 8
# How many requests of one process may wait for news of a payment (`?wait=`). Beyond it the answer comes at once. Keep
# it below WEB_THREADS, or nobody is left to answer anything else.
PAYMENT_WAITERS = env.int("PAYMENT_WAITERS", default=2)
# Waits before the first questions about an unanswered push; after the last of them the wait grows with age.
PAYMENT_POLL_SECONDS: list[float] = env.list("PAYMENT_POLL_SECONDS", cast=float, default=[5.0, 10.0, 20.0, 40.0, 60.0])
# Whether new payments are refused while their gateway does not answer. Otherwise they wait until it does, or expire.
PAYMENT_REFUSE_WHEN_GATEWAY_IS_DOWN = env.bool("PAYMENT_REFUSE_WHEN_GATEWAY_IS_DOWN", default=False)

# Whether people may send a refund by hand where a gateway cannot, with the installation's accounts.
MANUAL_REFUNDS = env.bool("MANUAL_REFUNDS", default=True)
# The most that one payout may be, and that one organisation may pay out in any 24 hours, by currency and in its
# smallest unit. A currency that is not named has no limit.
PAYOUT_MAX = limits_by_currency("PAYOUT_MAX", env.list("PAYOUT_MAX", default=[]))
PAYOUT_DAILY = limits_by_currency("PAYOUT_DAILY", env.list("PAYOUT_DAILY", default=[]))
# What an organisation without an account of its own may pay out through the installation's: "earned" (what its payments
# brought in there), "never", or "free" where all organisations are one's own.
PAYOUTS_FROM_SHARED_ACCOUNT = shared_payouts(default="earned")


# --- Messaging ------------------------------------------------------------------------------------------------------

# Who knows what stands for the placeholder in a message.
MESSAGE_SECRETS = "config.message_secrets.SECRETS"
# A text whose acceptance is uncertain waits this long for a delivery report before it is sent once more.
SMS_CONFIRM_SECONDS = env.int("SMS_CONFIRM_SECONDS", default=300)
# When a provider that can be asked is asked what became of a text: so long after the question before. After the last
# one the text counts as expired, until a report says better.
SMS_POLL_AFTER = [timedelta(minutes=minutes) for minutes in (5, 15, 60, 6 * 60, 24 * 60)]

# Where texts may go, by country and nothing else: a number elsewhere is refused before anybody is asked or paid.
SMS_COUNTRIES = messaging.countries("SMS_COUNTRIES", env.list("SMS_COUNTRIES", default=["TZ", "KE", "UG", "RW", "BI"]))
# The most parts that a text may have. A longer one is refused; one of our own is shortened.
SMS_MAX_PARTS = env.int("SMS_MAX_PARTS", default=6)
# What one part costs, in the smallest unit of SMS_CURRENCY, by country or by the first digits of a number.
SMS_CURRENCY = messaging.currency()
SMS_PRICES = messaging.prices(SMS_CURRENCY)
# What texts may cost within a day and a calendar month (UTC), in the same unit: those of one tenant, where staff have
# set nothing else for it, and all of them. The last tenth of what all may cost is for codes, notices and receipts.
SMS_TENANT_DAILY_BUDGET = env.int("SMS_TENANT_DAILY_BUDGET", default=5_000_000)
SMS_TENANT_MONTHLY_BUDGET = env.int("SMS_TENANT_MONTHLY_BUDGET", default=100_000_000)
SMS_DAILY_BUDGET = env.int("SMS_DAILY_BUDGET", default=50_000_000)
SMS_MONTHLY_BUDGET = env.int("SMS_MONTHLY_BUDGET", default=1_000_000_000)
# Parts within a day: to one country, and at all.
SMS_COUNTRY_DAILY = messaging.amounts(
    "SMS_COUNTRY_DAILY", env.list("SMS_COUNTRY_DAILY", default=["TZ=20000", "*=5000"])
)
SMS_DAILY = env.int("SMS_DAILY", default=30_000)
# Texts from one tenant to one phone within a day, by what they are for. Codes have limits of their own.
SMS_PHONE_DAILY = {"security": 20, "receipt": 100, "service": 20, "marketing": 3}
# Which providers are asked, in order, by country or by the first digits of a number; without any: all, as configured.
SMS_ROUTES = messaging.routes("SMS_ROUTES", env.list("SMS_ROUTES", default=[]))
# Under which name, by provider: the first, and what takes its place where it is refused. Without any: the account's.
SMS_SENDERS = messaging.senders(env.list("SMS_SENDERS", default=[]))
# Of the codes to one prefix within 24 hours: from so many on, at least so many percent must come back right, or the
# prefix gets no codes for the time of the pause.
SMS_GUARD_MIN_SENT = 50
SMS_GUARD_MIN_PERCENT = 20
SMS_GUARD_PAUSE = timedelta(hours=24)
# How long a notification stays in the app after it was read.
NOTIFICATIONS_KEEP_READ_DAYS = env.int("NOTIFICATIONS_KEEP_READ_DAYS", default=90)
# Who sends mail, and every account that there is (config/settings/email.py).
EMAIL_PROVIDER = "files"
EMAIL_PROVIDERS: dict[str, Any] = {}
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="Faraja <no-reply@faraja.test>")

# --- Logs -----------------------------------------------------------------------------------------------------------


def logging_config(formatter: str) -> dict[str, Any]:
    """One line per record on stdout, with secrets and phone numbers masked."""
    level = env.str("LOG_LEVEL", default="INFO")
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "core.logging.JsonFormatter"}, "text": {"()": "core.logging.TextFormatter"}},
        "handlers": {
            "stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": formatter}
        },
        "root": {"handlers": ["stdout"], "level": level},
        "loggers": {
            "django.server": {"handlers": ["stdout"], "propagate": False},
            "django.request": {"level": "ERROR"},  # 4xx answers stand in the request line already
            "celery.app.trace": {"level": "WARNING"},  # a line per delivered event says nothing new
            "celery.worker.strategy": {"level": "WARNING"},
            "httpx": {"level": "WARNING"},  # its INFO lines hold whole addresses
            "httpcore": {"level": "WARNING"},
        },
    }
