"""What a network looks at: attention scores, their response to scale, and figures of them."""

from keras_sknet.analysis.attention import attention_batches as attention_batches
from keras_sknet.analysis.attention import attention_scores as attention_scores
from keras_sknet.analysis.contact_sheet import draw_contact_sheet as draw_contact_sheet
from keras_sknet.analysis.contact_sheet import pick_images as pick_images
from keras_sknet.analysis.figures import attention_by_scale as attention_by_scale
from keras_sknet.analysis.paper_figures import draw_channels as draw_channels
from keras_sknet.analysis.paper_figures import draw_classes as draw_classes
from keras_sknet.analysis.paper_figures import draw_units as draw_units
from keras_sknet.analysis.report import write_report as write_report
from keras_sknet.analysis.response import ScaleResponse as ScaleResponse
from keras_sknet.analysis.scale import enlarge as enlarge
from keras_sknet.analysis.scale import scale_response as scale_response
