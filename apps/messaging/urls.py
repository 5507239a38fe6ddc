from django.urls import path

from apps.messaging.views import callbacks

urlpatterns = [
    path("messaging/reports/<slug:gateway>/<slug:token>/", callbacks.DeliveryReportView.as_view()),
]
