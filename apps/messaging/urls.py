from django.urls import path

from apps.messaging.views import callbacks, emails, messages, notifications, people, spend, templates

urlpatterns = [
    path("messaging/reports/email/<slug:provider>/<slug:token>/", emails.EmailReportView.as_view()),
    path("messaging/reports/<slug:gateway>/<slug:token>/", callbacks.DeliveryReportView.as_view()),
    path("messaging/messages/", messages.MessageListView.as_view()),
    path("messaging/messages/bulk/", messages.MessageBatchView.as_view()),
    path("messaging/messages/price/", messages.MessagePriceView.as_view()),
    path("messaging/messages/<uuid:message_id>/", messages.MessageDetailView.as_view()),
    path("messaging/spend/", spend.SpendView.as_view()),
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
