"""The fields of a recipe in a request or a setting, and the recipe of a request that names none.

`streetlight.model.recipe` checks their bounds.
"""

from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from streetlight.model.dataset import Repeats
from streetlight.model.network import Activation
from streetlight.model.recipe import BOUNDS, Recipe
from streetlight.service.validation.fields import Whole
from streetlight.service.validation.request_schema import Schema

# It has more nodes and iterations than the lab's recipe: eight hidden nodes learn ledgers that four
# can't.
DEFAULT_RECIPE = Recipe(hidden_sizes=(8,), iterations=1000)


class RecipeFields(Schema):
    """The fields of a recipe; every field is optional."""

    hidden_sizes: Annotated[tuple[Whole, ...], Field(max_length=8)] = DEFAULT_RECIPE.hidden_sizes
    alpha: float = DEFAULT_RECIPE.alpha
    iterations: Whole = DEFAULT_RECIPE.iterations
    batch_size: Whole | None = DEFAULT_RECIPE.batch_size
    seed: Whole = DEFAULT_RECIPE.seed
    restarts: Whole = DEFAULT_RECIPE.restarts
    target_error: float | None = DEFAULT_RECIPE.target_error
    patience: Whole | None = DEFAULT_RECIPE.patience
    weight_decay: float = DEFAULT_RECIPE.weight_decay
    l1_penalty: float = DEFAULT_RECIPE.l1_penalty
    activation: Activation = DEFAULT_RECIPE.activation
    repeats: Repeats = DEFAULT_RECIPE.repeats

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, describe: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Add the bounds, which `Recipe` checks and Pydantic doesn't know."""
        json_schema = describe.resolve_ref_schema(describe(schema))
        for name, (lowest, highest) in BOUNDS.items():
            field = json_schema["properties"][name]
            field.get("items", field).update(minimum=lowest, maximum=highest)
        return json_schema

    def recipe(self, base: Recipe) -> Recipe:
        """Return `base` with the fields that were given.

        Raises:
            ValueError: a field is out of bounds; the message names the field and its bounds.
        """
        given = self.model_fields_set & Recipe.__dataclass_fields__.keys()
        return replace(base, **{name: getattr(self, name) for name in given})
