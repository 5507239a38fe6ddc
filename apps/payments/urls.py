from django.urls import path

from apps.payments.views import accounts, callbacks, ledger, payments, payouts, refunds

urlpatterns = [
    path("payments/", payments.PaymentListView.as_view()),
    path("payments/gateways/", accounts.GatewayListView.as_view()),
    path("payments/gateways/<slug:gateway>/account/", accounts.GatewayAccountView.as_view()),
    path(
        "payments/gateways/<slug:gateway>/account/rotate-callback/",
        accounts.RotateCallbackView.as_view(),
    ),
    path("payments/<uuid:payment_id>/", payments.PaymentDetailView.as_view()),
    path("payments/<uuid:payment_id>/cancel/", payments.PaymentCancelView.as_view()),
    path("payments/<uuid:payment_id>/retry/", payments.PaymentRetryView.as_view()),
    path("payments/<uuid:payment_id>/review/", payments.PaymentReviewView.as_view()),
    path("payments/ledger/", ledger.LedgerView.as_view()),
    path("payments/totals/", ledger.TotalsView.as_view()),
    path("payments/gateways/<slug:gateway>/balance/", ledger.BalanceView.as_view()),
    path("payments/<uuid:payment_id>/refunds/", refunds.PaymentRefundListView.as_view()),
    path("refunds/", refunds.RefundListView.as_view()),
    path("refunds/<uuid:refund_id>/", refunds.RefundDetailView.as_view()),
    path("refunds/<uuid:refund_id>/complete/", refunds.RefundCompleteView.as_view()),
    path("refunds/<uuid:refund_id>/reject/", refunds.RefundRejectView.as_view()),
    path("payouts/", payouts.PayoutListView.as_view()),
    path("payouts/<uuid:payout_id>/", payouts.PayoutDetailView.as_view()),
    path("webhooks/<slug:gateway>/<slug:token>/", callbacks.GatewayCallbackView.as_view()),
]
