from django.urls import path

from apps.messaging import views

urlpatterns = [
    path("messaging/reports/<slug:gateway>/<slug:token>/", views.DeliveryReportView.as_view()),
]
