from django.urls import path

from apps.messaging.views import callbacks, emails

urlpatterns = [
    path("messaging/reports/email/<slug:provider>/<slug:token>/", emails.EmailReportView.as_view()),
    path("messaging/reports/<slug:gateway>/<slug:token>/", callbacks.DeliveryReportView.as_view()),
]
