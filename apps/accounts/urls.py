from django.urls import path

from apps.accounts.views import accounts, deletion, links, passwords, people, sessions

urlpatterns = [
    path("auth/register/", accounts.RegisterView.as_view()),
    path("auth/login/", sessions.LoginView.as_view()),
    path("auth/refresh/", sessions.RefreshView.as_view()),
    path("auth/csrf/", sessions.CsrfView.as_view()),
    path("auth/logout/", sessions.LogoutView.as_view()),
    path("auth/logout-all/", sessions.LogoutAllView.as_view()),
    path("auth/sessions/", sessions.SessionListView.as_view()),
    path("auth/sessions/<uuid:session_id>/", sessions.SessionDetailView.as_view()),
    path("auth/switch-tenant/", sessions.SwitchTenantView.as_view()),
    path("auth/me/", accounts.MeView.as_view()),
    path("auth/update-profile/", accounts.UpdateProfileView.as_view()),
    path("auth/change-password/", passwords.ChangePasswordView.as_view()),
    path("auth/reauthenticate/", passwords.ReauthenticateView.as_view()),
    path("auth/reset-password/", passwords.ResetPasswordView.as_view()),
    path("auth/reset-password-confirm/", passwords.ConfirmResetView.as_view()),
    path("auth/verify-email/", links.VerifyEmailView.as_view()),
    path("auth/resend-verification/", links.ResendVerificationView.as_view()),
    path("auth/change-email/", links.ChangeEmailView.as_view()),
    path("auth/delete-account/", deletion.DeleteAccountView.as_view()),
    path("auth/restore-account/", deletion.RestoreAccountView.as_view()),
    path("auth/export/", deletion.ExportView.as_view()),
    path("users/", people.UserListView.as_view()),
    path("users/me/", people.OwnUserView.as_view()),
    path("users/<uuid:user_id>/", people.UserDetailView.as_view()),
]
