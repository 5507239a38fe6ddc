from django.urls import path

from apps.tenants.views import members, tenants

urlpatterns = [
    path("tenants/", tenants.TenantListView.as_view()),
    path("tenants/current/", tenants.CurrentTenantView.as_view()),
    path("tenants/members/", members.MemberListView.as_view()),
    path("tenants/members/<uuid:member_id>/", members.MemberDetailView.as_view()),
    path("tenants/leave/", members.LeaveView.as_view()),
    path("tenants/transfer-ownership/", members.TransferOwnershipView.as_view()),
]
