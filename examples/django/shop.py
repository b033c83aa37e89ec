"""A Django project in one file that asks shopkeeper by SQL: models on its views, asking, showing, being told.

    pip install 'django~=5.2' 'psycopg[binary]' standardwebhooks
    DATABASE_URL=postgres://shop_web@localhost/shop DJANGO_SECRET_KEY=… SHOPKEEPER_WEBHOOK_SECRET=whsec_… \\
        python shop.py runserver

There is nothing to migrate: what it reads is shopkeeper's. See README.md.
"""

import os
import sys
import uuid

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from psycopg.conninfo import conninfo_to_dict

DATABASE = conninfo_to_dict(os.environ["DATABASE_URL"])

settings.configure(
    SECRET_KEY=os.environ["DJANGO_SECRET_KEY"],
    DEBUG=os.environ.get("DJANGO_DEBUG") == "1",
    ALLOWED_HOSTS=os.environ.get("DJANGO_ALLOWED_HOSTS", "127.0.0.1,localhost").split(","),
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": DATABASE["dbname"],
            "OPTIONS": DATABASE,
            # A request is one transaction: a question is asked if all else that the request did was done.
            "ATOMIC_REQUESTS": True,
        }
    },
    USE_TZ=True,
)
django.setup()

from django.core.cache import cache  # noqa: E402
from django.db import connection, models, transaction  # noqa: E402
from django.http import HttpResponse, HttpResponseBadRequest, JsonResponse  # noqa: E402
from django.middleware.csrf import get_token  # noqa: E402
from django.shortcuts import get_object_or_404, redirect  # noqa: E402
from django.urls import path  # noqa: E402
from django.utils.html import format_html  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from django.views.decorators.http import require_GET, require_POST  # noqa: E402
from standardwebhooks.webhooks import Webhook, WebhookVerificationError  # noqa: E402


class Answer(models.Model):
    """A question of this role, and what became of it."""

    id = models.UUIDField(primary_key=True)
    session_id = models.TextField(null=True)
    status = models.TextField()
    outcome = models.TextField(null=True)
    question = models.TextField()
    answer = models.TextField(null=True)
    sources = models.JSONField()
    confidence = models.FloatField(null=True)
    needs_escalation = models.BooleanField()
    error = models.TextField(null=True)
    created_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True)

    class Meta:
        app_label = "shop"
        managed = False
        db_table = '"shopkeeper"."answers"'


class Chunk(models.Model):
    """A passage of the index. Its `embedding` is left out: nearest neighbours are found by shopkeeper.search."""

    pk = models.CompositePrimaryKey("source", "key", "ordinal")
    source = models.TextField()
    key = models.TextField()
    ordinal = models.IntegerField()
    title = models.TextField()
    content = models.TextField()
    url = models.TextField(null=True)
    metadata = models.JSONField()
    created_at = models.DateTimeField()

    class Meta:
        app_label = "shop"
        managed = False
        db_table = '"shopkeeper"."chunks"'


def ask_shopkeeper(question, key, session=None):
    """Asks in the transaction that is open; the question is there when that commits."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select shopkeeper.ask(question => %s, idempotency_key => %s, session_id => %s)", [question, key, session]
        )
        return cursor.fetchone()[0]


@require_GET
def form(request):
    # The key is made with the form: sent twice, it is one question.
    return HttpResponse(
        format_html(
            '<form method="post" action="/ask"><input name="question" required>'
            '<input type="hidden" name="key" value="{}"><input type="hidden" name="csrfmiddlewaretoken" value="{}">'
            "<button>Ask</button></form>",
            uuid.uuid4(),
            get_token(request),
        )
    )


@require_POST
def ask(request):
    question, key = request.POST.get("question", "").strip(), request.POST.get("key", "")
    if not question or not key or "\0" in question + key or len(question) > 4000 or len(key) > 255:
        return HttpResponseBadRequest("a question of 1 to 4,000 characters and a key, please")
    # What the shop itself writes about this request belongs here: it commits with the question, or neither does.
    return redirect("answer", ask_shopkeeper(question, f"web:{key}"))


@require_GET
def answer(request, answer_id):
    found = get_object_or_404(Answer, pk=answer_id)
    cited = [source for source in found.sources if source["cited"]]
    passages = Chunk.objects.filter(
        models.Q(*(models.Q(source=source["source"], key=source["key"]) for source in cited), _connector=models.Q.OR)
    )
    return JsonResponse(
        {
            "status": found.status,
            "question": found.question,
            "answer": found.answer,
            "needs_escalation": found.needs_escalation,
            "passages": [{"title": chunk.title, "content": chunk.content} for chunk in passages] if cited else [],
        }
    )


@csrf_exempt
@require_POST
@transaction.non_atomic_requests
def hook(request):
    try:
        message = Webhook(os.environ["SHOPKEEPER_WEBHOOK_SECRET"]).verify(request.body, dict(request.headers))
    except (WebhookVerificationError, ValueError):
        return HttpResponseBadRequest("not signed by shopkeeper")
    # Each message once. This cache is the process's own: with more than one, use a table with a unique column, in the
    # transaction that acts on the message.
    if cache.add(f"webhook:{request.headers['webhook-id']}", True, timeout=3 * 24 * 3600):
        print(f"told: {message['type']} {message['data']['id']}", flush=True)
    return HttpResponse(status=204)


urlpatterns = [
    path("", form),
    path("ask", ask),
    path("answers/<uuid:answer_id>", answer, name="answer"),
    path("hook", hook),
]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
