"""All pages in one router: `create_app` includes `router` and puts the service on `app.state.service`."""

from fastapi import APIRouter

from api.pages.consents import consents
from api.pages.erased import erased
from api.pages.leaving import leaving, one_click
from api.pages.opening import opening
from api.pages.records import records
from api.pages.reference import reference
from api.pages.why import why

router = APIRouter()
for _part in (opening, consents, records, why, leaving, one_click, erased, reference):
    router.include_router(_part)
