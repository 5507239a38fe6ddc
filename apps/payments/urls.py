from django.urls import path

from apps.payments import views

urlpatterns = [
    path("payments/", views.PaymentListView.as_view()),
    path("payments/<uuid:payment_id>/", views.PaymentDetailView.as_view()),
    path("webhooks/<slug:gateway>/<slug:token>/", views.GatewayCallbackView.as_view()),
]
