from django.urls import path

from apps.messaging.views import callbacks, emails, notifications, people, templates

urlpatterns = [
    path("messaging/reports/email/<slug:provider>/<slug:token>/", emails.EmailReportView.as_view()),
    path("messaging/reports/<slug:gateway>/<slug:token>/", callbacks.DeliveryReportView.as_view()),
    path("messaging/templates/", templates.TemplateListView.as_view()),
    path("messaging/templates/<slug:key>/", templates.TemplateDetailView.as_view()),
    path("messaging/templates/<slug:key>/preview/", templates.TemplatePreviewView.as_view()),
    path("messaging/preferences/", people.PreferencesView.as_view()),
    path("messaging/unsubscribe/<slug:token>/", people.UnsubscribeView.as_view()),
    path("notifications/", notifications.NotificationListView.as_view()),
    path("notifications/unread-count/", notifications.UnreadCountView.as_view()),
    path("notifications/read-all/", notifications.NotificationReadAllView.as_view()),
    path("notifications/<uuid:notification_id>/", notifications.NotificationDetailView.as_view()),
    path("notifications/<uuid:notification_id>/read/", notifications.NotificationReadView.as_view()),
]
