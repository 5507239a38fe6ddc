from django.urls import path

from apps.payments.views import accounts, callbacks, payments

urlpatterns = [
    path("payments/", payments.PaymentListView.as_view()),
    path("payments/gateways/", accounts.GatewayListView.as_view()),
    path("payments/gateways/<slug:gateway>/account/", accounts.GatewayAccountView.as_view()),
    path(
        "payments/gateways/<slug:gateway>/account/rotate-callback/",
        accounts.RotateCallbackView.as_view(),
    ),
    path("payments/<uuid:payment_id>/", payments.PaymentDetailView.as_view()),
    path("webhooks/<slug:gateway>/<slug:token>/", callbacks.GatewayCallbackView.as_view()),
]
