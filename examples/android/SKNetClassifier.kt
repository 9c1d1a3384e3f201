// Uncompiled and untried: see README.md.

import android.content.Context
import android.graphics.Bitmap
import android.media.ThumbnailUtils
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import java.util.zip.ZipInputStream

/** Classifies bitmaps with a LiteRT file in the app's assets that takes and returns float32. */
class SKNetClassifier(context: Context, asset: String, private val size: Int) : AutoCloseable {
    private val model =
        CompiledModel.create(context.assets, asset, CompiledModel.Options(Accelerator.CPU))
    private val inputs = model.createInputBuffers()
    private val outputs = model.createOutputBuffers()
    private val labels = readLabels(context.assets.open(asset).use { it.readBytes() })

    /** Names and scores of the classes, best first. */
    fun classify(bitmap: Bitmap): List<Pair<String, Float>> {
        inputs[0].writeFloat(pixels(ThumbnailUtils.extractThumbnail(bitmap, size, size)))
        model.run(inputs, outputs)
        val scores = outputs[0].readFloat()
        val named = scores.mapIndexed { index, score -> (labels.getOrNull(index) ?: "$index") to score }
        return named.sortedByDescending { it.second }
    }

    override fun close() {
        inputs.forEach { it.close() }
        outputs.forEach { it.close() }
        model.close()
    }

    /** Red, green and blue of every pixel, 0-255: the network normalizes them itself. */
    private fun pixels(bitmap: Bitmap): FloatArray {
        val colors = IntArray(size * size)
        bitmap.getPixels(colors, 0, size, 0, 0, size, size)
        val values = FloatArray(3 * colors.size)
        colors.forEachIndexed { index, color ->
            values[3 * index] = ((color shr 16) and 0xFF).toFloat()
            values[3 * index + 1] = ((color shr 8) and 0xFF).toFloat()
            values[3 * index + 2] = (color and 0xFF).toFloat()
        }
        return values
    }

    /** The names of the classes: labels.txt in the zip archive that follows the network in the file. */
    private fun readLabels(file: ByteArray): List<String> {
        val name = "labels.txt".toByteArray()
        // A file in an archive begins so, and has its name 30 bytes further on.
        val signature = byteArrayOf(0x50, 0x4B, 3, 4)
        val start = (file.size - 30 - name.size downTo 0).firstOrNull {
            matches(file, it, signature) && matches(file, it + 30, name)
        } ?: return emptyList()
        ZipInputStream(file.inputStream(start, file.size - start)).use { zip ->
            zip.nextEntry ?: return emptyList()
            return zip.readBytes().decodeToString().trimEnd('\n').split('\n')
        }
    }

    private fun matches(file: ByteArray, at: Int, bytes: ByteArray): Boolean =
        bytes.indices.all { file[at + it] == bytes[it] }
}
