from django.urls import path

from apps.tenants.views import api_keys, audit, invitations, members, tenants

urlpatterns = [
    path("tenants/", tenants.TenantListView.as_view()),
    path("tenants/current/", tenants.CurrentTenantView.as_view()),
    path("tenants/current/audit/", audit.AuditListView.as_view()),
    path("tenants/members/", members.MemberListView.as_view()),
    path("tenants/members/<uuid:member_id>/", members.MemberDetailView.as_view()),
    path("tenants/api-keys/", api_keys.ApiKeyListView.as_view()),
    path("tenants/api-keys/<uuid:key_id>/", api_keys.ApiKeyDetailView.as_view()),
    path("tenants/invitations/", invitations.InvitationListView.as_view()),
    path("tenants/invitations/accept/", invitations.InvitationAcceptView.as_view()),
    path("tenants/invitations/<uuid:invitation_id>/", invitations.InvitationDetailView.as_view()),
    path("tenants/invitations/<uuid:invitation_id>/resend/", invitations.InvitationResendView.as_view()),
    path("tenants/leave/", members.LeaveView.as_view()),
    path("tenants/transfer-ownership/", members.TransferOwnershipView.as_view()),
]
