"""One model: what it is, its spaces, its card."""

from nicegui import run, ui

from efive.console import context, frame, models, models_card, parts, units
from efive.console.models import Model
from efive.console.models_adding import adding_of
from efive.console.pages.models import show_actions, show_state
from efive.console.pages.models_jobs import show_jobs
from efive.errors import EfiveError

_STYLE = """
.model-card table { display: block; overflow-x: auto; } .model-card pre { overflow-x: auto; }
.model-card h3 { font-size: 1.3rem; font-weight: 500; } .model-card h4 { font-size: 1.1rem; font-weight: 500; }
.model-card :is(h3, h4, h5, h6) { margin: 1.2rem 0 .4rem; line-height: 1.3; }
"""


@ui.page("/models/{name}")
async def page(name: str) -> None:
    """Show one model."""
    adding = context.kept(adding_of)
    ui.add_css(_STYLE)
    with frame.page("Models"):
        used = models.uses(adding.store, context.service().deployments)
        try:
            model = await run.io_bound(models.one, adding.store, name, used)
        except EfiveError as error:
            frame.empty(f"There is no model {name!r} here", str(error))
            ui.link("All models", "/models")
            return
        assert model is not None
        with ui.row().classes("items-center gap-3"):
            ui.label(model.name).classes("text-xl font-medium wrap-anywhere").props('role="heading" aria-level="2"')
            show_state(model)
            with ui.row().classes("gap-0"):
                show_actions(adding, model, _all)
        show_jobs(adding, of=model.name)
        _facts(model)
        card = await run.io_bound(models_card.read, model.folder)
        parts.heading("Model card")
        if card:
            text = ui.html(await run.io_bound(models_card.html, card) or "")
            text.classes("nicegui-markdown model-card w-full break-words")
        else:
            ui.label("It has none: there is no README.md in its folder.")


async def _all() -> None:
    ui.navigate.to("/models")


def _facts(model: Model) -> None:
    parts.facts(
        [
            ("Shape", model.shape or "cannot be read"),
            ("Size", units.size(model.bytes)),
            ("Languages", ", ".join(model.languages) or "its card names none"),
            ("Runs here on", model.variant or "nothing"),
            ("From", model.source or "unknown"),
            ("Folder", str(model.folder)),
        ]
    )
