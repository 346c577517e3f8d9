"""The steps of a pipeline as a job's page shows them."""

import apache_beam as beam
from apache_beam.pipeline import PipelineVisitor


def labels_of(pipeline: beam.Pipeline) -> set[str]:
    """The labels of all transforms of a pipeline, composite ones too."""
    labels = set()

    class Labels(PipelineVisitor):
        def visit_transform(self, transform_node):
            labels.add(transform_node.full_label)

        def enter_composite_transform(self, transform_node):
            labels.add(transform_node.full_label)

    pipeline.visit(Labels())
    return labels
