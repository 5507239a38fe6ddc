from django.urls import path

from apps.payments.views import callbacks, payments

urlpatterns = [
    path("payments/", payments.PaymentListView.as_view()),
    path("payments/<uuid:payment_id>/", payments.PaymentDetailView.as_view()),
    path("payments/<uuid:payment_id>/cancel/", payments.PaymentCancelView.as_view()),
    path("payments/<uuid:payment_id>/retry/", payments.PaymentRetryView.as_view()),
    path("payments/<uuid:payment_id>/review/", payments.PaymentReviewView.as_view()),
    path("webhooks/<slug:gateway>/<slug:token>/", callbacks.GatewayCallbackView.as_view()),
]
